//! Writing. Who has read enough, such as `head`, or has closed the terminal, is no failure: what was begun
//! comes to its end.
//!
//! `#[macro_use] extern crate terminal` puts these macros in the place of the standard library's, which
//! panic then.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// Writes to standard error.
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::say(format_args!($($text)*)) };
}

/// Writes a line to standard error.
#[macro_export]
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::say(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print::print(format_args!($($text)*)) };
}

/// Writes a line to standard output.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::print::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Why standard output did not take everything.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard error, if somebody reads it.
pub fn say(text: Arguments<'_>) {
    // In one piece, so that lines of threads do not mix. Nobody is left to be told of a failure.
    let _unread = io::stderr().write_all(text.to_string().as_bytes());
}

/// Writes to standard output, if somebody reads it. Should it fail for another reason, such as a full
/// disk, [`finish`] says so at the end.
pub fn print(text: Arguments<'_>) {
    let mut failed = FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if failed.is_none() {
        *failed = write_to(&mut io::stdout().lock(), &text.to_string()).err();
    }
}

/// Makes sure that all of the command's result has been written.
///
/// # Errors
///
/// When standard output did not take it, such as for want of space; not when nobody reads it any more.
pub fn finish() -> io::Result<()> {
    let failed = FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    failed.map_or(Ok(()), Err)
}

fn write_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard output that fails.
    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn nobody_who_reads_is_no_failure_and_a_full_disk_is_one() {
        assert!(write_to(&mut Fails(ErrorKind::BrokenPipe), "x").is_ok());
        let full = write_to(&mut Fails(ErrorKind::StorageFull), "x").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!(write_to(&mut Fails(ErrorKind::StorageFull), "").is_err(), "a flush is needed too");
    }
}
