//! Secrets of this machine, read where a configuration says that they are. Those of deliveries are the
//! forwarder's business.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use domain::secret::{SECRET_BYTES_MAX, Secret, SecretReference};

/// The secret at this place, as the forwarder reads it.
///
/// # Errors
///
/// Why it is not to be had; never what is there.
pub(crate) fn read(reference: &SecretReference) -> io::Result<Secret> {
    match reference {
        SecretReference::Variable(name) => {
            let missing = || io::Error::other("environment variable not found");
            let value = std::env::var_os(name).ok_or_else(missing)?.into_vec();
            Secret::new(&value).map_err(|_empty| io::Error::other("the variable is empty"))
        }
        SecretReference::File(path) => file(Path::new(path)),
        SecretReference::Parameter(_) | SecretReference::SecretsManager(_) => {
            Err(io::Error::other("it is with AWS, where this engine does not ask"))
        }
    }
}

fn file(path: &Path) -> io::Result<Secret> {
    // Anything else, such as a pipe, may keep us waiting.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("the file is larger than {SECRET_BYTES_MAX} bytes")));
    }
    Secret::new(&bytes).map_err(io::Error::other)
}
