//! Loads, and pieces of work on them, that the benchmarks share: the program beside this, and the kernels.

pub mod generate;
pub mod paths;
pub mod random;
