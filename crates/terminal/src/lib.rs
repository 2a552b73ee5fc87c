//! What the command lines write. Here because `cargo xtask` and `webhook-operator` are read by the same
//! people, at the same terminal.

pub mod color;
pub mod exit;
pub mod print;
pub mod table;
pub mod text;
