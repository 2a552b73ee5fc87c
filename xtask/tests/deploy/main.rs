//! Deploy, promote, rollback and destroy to their ends, in seconds: with stand-ins for Terraform and for
//! the operator, which are the programs that they start. The plans are of today's modules.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod deployed;
mod ends;
mod machine;
mod shown;
mod stopped;
