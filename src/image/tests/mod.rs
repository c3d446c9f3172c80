//! Whole loads, imports, saves and removals, on a real file system.

mod kit;
mod archives;
mod durability;
mod hostile;
mod loading;
mod naming;
mod unpacking;
