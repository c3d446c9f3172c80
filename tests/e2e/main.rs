//! End to end, on this machine: real containers, as root. Each test says so and passes when it
//! cannot run here.

mod runtime;
