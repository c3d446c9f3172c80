//! Whole loads, imports, saves and removals, on a real file system.

pub mod kit;
mod archives;
mod durability;
mod hostile;
mod loading;
mod naming;
mod unpacking;
