//! What an executable says of itself: for which processor it is, and whether it asks for a loader.
//!
//! Source: System V ABI, "ELF Header" and "Program Header".

use anyhow::{Context as _, bail};

use super::Arch;

/// The segment that names a loader; an executable that is linked statically has none.
const INTERPRETER: u32 = 3;

/// Checks that an executable is for `arch`, and needs nothing of the machine that it runs on.
pub(super) fn check_static(executable: &[u8], arch: Arch) -> anyhow::Result<()> {
    let number = |at: usize, bytes: usize| -> anyhow::Result<usize> {
        let field = executable.get(at..at + bytes).context("it is cut off")?;
        Ok(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    if !executable.starts_with(b"\x7fELF\x02\x01") {
        bail!("it is no executable for 64-bit little-endian Linux");
    }
    let expected = match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
    };
    let machine = number(18, 2)?;
    if machine != expected {
        bail!("it is for another processor: {machine} instead of {expected}");
    }
    let (first, bytes, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for segment in 0..count {
        if number(first + segment * bytes, 4)? == INTERPRETER as usize {
            bail!("it is not linked statically");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests themselves are linked dynamically.
    #[test]
    fn an_executable_that_needs_a_loader_is_found_and_so_is_another_processor_s() {
        let ours = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let check = |bytes: &[u8], arch| check_static(bytes, arch).map_err(|it| it.to_string());
        assert_eq!(check(&ours, Arch::host()), Err("it is not linked statically".to_owned()));
        for other in Arch::ALL.into_iter().filter(|it| *it != Arch::host()) {
            assert!(check(&ours, other).unwrap_err().starts_with("it is for another processor"));
        }
        let mut without_segments = ours[..64].to_vec();
        without_segments[56] = 0;
        without_segments[57] = 0;
        assert_eq!(check(&without_segments, Arch::host()), Ok(()));
        assert!(check(b"#!/bin/sh", Arch::host()).is_err());
        assert_eq!(check(&ours[..60], Arch::host()), Err("it is cut off".to_owned()));
    }
}
