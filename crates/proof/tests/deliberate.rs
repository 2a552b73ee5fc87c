//! What is broken on purpose is found by days that are simulated.
//! `cargo test -p proof --features deliberate-faults --test deliberate`
#![cfg(feature = "deliberate-faults")]

use std::path::Path;

use proof::simulation::self_test;

#[test]
fn every_deliberate_fault_of_the_forwarder_is_found() {
    let program = Path::new(env!("CARGO_BIN_EXE_proof"));
    let mut missed = Vec::new();
    self_test::run(program, 1, |fault, _, days| {
        println!("{fault}: {days:?} days");
        missed.extend(days.is_none().then(|| fault.to_owned()));
    })
    .unwrap();
    assert_eq!(missed, Vec::<String>::new());
}
