//! What is deployed to an AWS emulator by the commands that a person types. Each takes minutes and
//! needs Terraform: `cargo xtask test` has a step for each, `cargo test` alone leaves them out.

mod local;
mod moving;
mod rights;
mod step;
mod upgrading;
