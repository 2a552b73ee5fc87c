//! Deploy, promote, rollback and destroy to their ends, in seconds: with stand-ins for Terraform and for
//! the operator, which are the programs that they start. The plans are of today's modules.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod deployed;
mod ends;
mod machine;
#[path = "../../src/aws/check/tests/plans.rs"]
#[expect(dead_code, reason = "the invariants' tests use the rest")]
mod plans;
mod real;
mod shown;
mod stopped;

/// What those plans are made of.
mod workspace {
    pub(crate) fn root() -> &'static std::path::Path {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }
}
