//! Whole loads, imports, saves and removals, on a real file system.

mod kit;
mod hostile;
mod loading;
