//! A compressed archive that says nothing of when, where and by whom it was made.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    path: String,
    mode: u32,
    bytes: Vec<u8>,
}

impl Entry {
    pub(super) fn new(path: String, mode: u32, bytes: Vec<u8>) -> Self {
        Self { path, mode, bytes }
    }
}

/// The archive of these files, in a folder of this name; `time` is every file's, in seconds since the
/// Unix epoch, and `compression` is at most 9.
pub(super) fn packed(
    name: &str,
    entries: &[Entry],
    time: u64,
    compression: u32,
) -> std::io::Result<Vec<u8>> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| &entry.path);
    let mut tar = Builder::new(Vec::new());
    for Entry { path, mode, bytes } in entries {
        let mut header = Header::new_ustar();
        header.set_path(format!("{name}/{path}"))?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes.as_slice())?;
    }
    // The builder leaves out name and time.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::new(compression));
    gzip.write_all(&tar.into_inner()?)?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_depends_on_nothing_but_its_files_and_the_commit() {
        let file = |path: &str, mode| Entry::new(path.to_owned(), mode, path.as_bytes().to_vec());
        let entries = [file("b/tool", 0o755), file("a", 0o644)];
        let bytes = packed("x-1", &entries, 1_700_000_000, 9).unwrap();
        let other_order = [entries[1].clone(), entries[0].clone()];
        assert_eq!(bytes, packed("x-1", &other_order, 1_700_000_000, 9).unwrap());
        // Source: RFC 1952: flags and time of a gzip file, and the system that made it.
        assert_eq!((bytes[3], &bytes[4..8], bytes[9]), (0, &[0; 4][..], 255));
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 1_700_000_000);
            let (mode, path) = (header.mode().unwrap(), entry.path().unwrap().into_owned());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((path.to_str().unwrap().to_owned(), mode, text));
        }
        let file = |path: &str, mode, text: &str| (path.to_owned(), mode, text.to_owned());
        assert_eq!(found, [file("x-1/a", 0o644, "a"), file("x-1/b/tool", 0o755, "b/tool")]);
    }
}
