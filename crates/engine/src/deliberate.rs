//! Deliberate faults, by which the proof is tried: does it find a program that breaks a promise?
//!
//! Behind the feature `deliberate-faults`, which nothing that is released has; without it a fault is
//! never there, and the compiler leaves the code of it out.

#[cfg(feature = "deliberate-faults")]
const VARIABLE: &str = "WEBHOOK_DELIBERATE_FAULT";

/// The variable that names a fault, for the forwarder.
pub(crate) fn passed_on() -> Option<&'static str> {
    #[cfg(feature = "deliberate-faults")]
    return Some(VARIABLE);
    #[cfg(not(feature = "deliberate-faults"))]
    None
}

/// Whether this fault is there: the one that the environment variable `WEBHOOK_DELIBERATE_FAULT` names.
#[cfg(feature = "deliberate-faults")]
pub(crate) fn is_there(fault: &str) -> bool {
    use std::sync::LazyLock;

    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
    NAMED.as_deref() == Some(fault)
}

/// None is.
#[cfg(not(feature = "deliberate-faults"))]
pub(crate) const fn is_there(_fault: &str) -> bool {
    false
}

/// Keeps what nobody uses, for one of two faults.
#[cfg(feature = "deliberate-faults")]
pub(crate) fn leak() {
    if is_there("leak-memory") {
        Box::leak(vec![1_u8; 1_024 * 1_024].into_boxed_slice());
    }
    if is_there("leak-descriptors") {
        std::mem::forget(std::fs::File::open("/dev/null"));
    }
}

/// Keeps nothing.
#[cfg(not(feature = "deliberate-faults"))]
pub(crate) const fn leak() {}
