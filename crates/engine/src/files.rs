//! The files of a data directory: replaced in one step, nobody else's to read, and nobody else's to put
//! there.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use domain::environment::is_data_file;
use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::spare_room::{hand_over_one, is_full};

/// What others may not do: read, write, execute.
const OTHERS: u32 = 0o077;

/// What nobody may do with a data directory who is neither its owner nor of the engine's own group: put
/// files there.
const WRITTEN_BY_ALL: u32 = 0o002;
const WRITTEN_BY_GROUP: u32 = 0o020;

/// Of what is in such a directory, only its owner moves or removes it.
const STICKY: u32 = 0o1000;

/// The user that may do anything, and its group.
const ROOT: u32 = 0;

/// Why a data directory is not used: what is in it may be another user's work, who would choose the
/// access key id, have files of ours written elsewhere, or read what is queued.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// It has another owner.
    #[error(
        "{path} belongs to user {owner}; an engine of user {user} uses what is that user's or root's, \
         as another one may have put anything there: if you know that it is right, `chown -h {user} {path}`"
    )]
    Owner {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// The id of the user whose engine it is.
        user: u32,
    },
    /// It is a link, or something else.
    #[error(
        "{path} is no regular file, such as a symbolic link, and is not followed: put the file itself \
         there, or remove it"
    )]
    Kind {
        /// The file in the directory.
        path: PathBuf,
    },
    /// Everybody can put files there.
    #[error(
        "every user can put files into {path}, which an engine would trust: `chmod o-w {path}`"
    )]
    WrittenByAll {
        /// The directory.
        path: PathBuf,
    },
    /// The members of a group that the engine is not of can put files there.
    #[error(
        "the members of group {group} can put files into {path}, which an engine would trust: \
         `chmod g-w {path}`"
    )]
    WrittenByGroup {
        /// The directory.
        path: PathBuf,
        /// The group's id.
        group: u32,
    },
    /// Everybody can put another directory in its place.
    #[error(
        "every user can put another directory in the place of what is in {path}, such as the data \
         directory below it: `chmod +t {path}`"
    )]
    AboveWrittenByAll {
        /// The directory above.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("looking at {path}")]
    File {
        /// The directory, or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why this user may not read and write a file of a data directory, and the way out. Its owner may, and
/// root: what root's own run of an engine has left is root's, file by file.
#[derive(Debug, thiserror::Error)]
pub struct Denied {
    file: PathBuf,
    user: u32,
    owner: u32,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, user, owner } = self;
        let shown = file.display();
        if owner == user {
            return write!(f, "user {user} may not read and write {shown}: `chmod u+rw {shown}`");
        }
        let dir = file.parent().unwrap_or(Path::new("")).display();
        write!(
            f,
            "user {user} may not read and write {shown}, which is user {owner}'s: `chown -R {user} {dir}/`"
        )
    }
}

/// Refuses a file that is there and whose owner or permissions keep this process's user from it.
pub(crate) fn check_allowed(file: &Path) -> Result<(), Denied> {
    let access = accessat(CWD, file, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS);
    match (access, file.symlink_metadata()) {
        (Err(Errno::ACCESS), Ok(metadata)) => {
            let (user, owner) = (geteuid().as_raw(), metadata.uid());
            Err(Denied { file: file.to_owned(), user, owner })
        }
        // Whatever else is wrong, who opens it says better.
        _ => Ok(()),
    }
}

/// What is said of a file that could not be opened: the way out, where there is one.
pub(crate) fn explained(file: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| match check_allowed(file) {
        Err(denied) => io::Error::new(error.kind(), denied),
        Ok(()) => error,
    }
}

/// Whose a data directory is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum User {
    /// That of this process, which is an engine.
    OfThisProcess,
    /// Whoever owns it: this process works for that user's engine, as root does.
    OfTheDirectory,
}

/// Refuses what another user may have put into a data directory. To be called before anything of it is
/// opened.
pub(crate) fn check_trusted(dir: &Path, user: User) -> Result<(), Untrusted> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Untrusted::File { path, source }
    };
    let of_dir = dir.metadata().map_err(failed(dir))?;
    let user = match user {
        User::OfThisProcess => geteuid().as_raw(),
        User::OfTheDirectory => of_dir.uid(),
    };
    let check_owner = |path: &Path, owner: u32| {
        if owner == user || owner == ROOT {
            return Ok(());
        }
        Err(Untrusted::Owner { path: path.to_owned(), owner, user })
    };
    check_owner(dir, of_dir.uid())?;
    if of_dir.mode() & WRITTEN_BY_ALL != 0 {
        return Err(Untrusted::WrittenByAll { path: dir.to_owned() });
    }
    // A user's own group is as good as the user, and the umask of many lets it write.
    let is_own = |group| group == ROOT || group == getegid().as_raw();
    if of_dir.mode() & WRITTEN_BY_GROUP != 0 && !is_own(of_dir.gid()) {
        return Err(Untrusted::WrittenByGroup { path: dir.to_owned(), group: of_dir.gid() });
    }
    check_above(&std::path::absolute(dir).map_err(failed(dir))?)?;
    // Where links lead to.
    check_above(&dir.canonicalize().map_err(failed(dir))?)?;
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let entry = entry.map_err(failed(dir))?;
        if !entry.file_name().to_str().is_some_and(is_data_file) {
            continue;
        }
        let path = entry.path();
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Of a running engine, whose directory is copied.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Untrusted::File { path, source }),
        };
        check_owner(&path, metadata.uid())?;
        if !metadata.is_file() {
            return Err(Untrusted::Kind { path });
        }
    }
    Ok(())
}

/// Refuses a directory that somebody could exchange after it was looked at.
fn check_above(dir: &Path) -> Result<(), Untrusted> {
    for path in dir.ancestors().skip(1).map(Path::to_owned) {
        match path.metadata() {
            Ok(above) if above.mode() & WRITTEN_BY_ALL != 0 && above.mode() & STICKY == 0 => {
                return Err(Untrusted::AboveWrittenByAll { path });
            }
            Ok(_) => {}
            Err(source) => return Err(Untrusted::File { path, source }),
        }
    }
    Ok(())
}

/// What is in a file of a data directory, whose owner may have put a link there since it was looked at:
/// for whoever may read more than that one.
pub(crate) fn read_own(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe would keep us waiting.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file =
        File::options().read(true).custom_flags(flags.bits().cast_signed()).open(file)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(io::Error::other("it is no regular file, or has another name, too"));
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// What is in a file of the data directory, if it is there.
pub(crate) fn read_if_there(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explained(file)(error)),
    }
}

/// How a file of ours is opened to write: for nobody else to read, and not through a link.
pub(crate) fn own_file() -> OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Replaces a file in one step. The room that is held for what matters is not taken for it.
pub(crate) fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    write_new(&new, text)
        .and_then(|()| fs::rename(&new, file))
        .inspect_err(|_in_part| drop(fs::remove_file(&new)))
}

/// The same, durably, and with room that is held for it where there is none.
pub(crate) fn write_durably(file: &Path, text: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new(""));
    let mut written = replace(file, text);
    // What is held is written into, as somebody may wait for what is given up.
    while written.as_ref().is_err_and(is_full) && hand_over_one(dir, &file.with_extension("new")) {
        written = replace(file, text);
    }
    written?;
    File::open(dir)?.sync_all()
}

/// Writes a file over what is there, in the room that that has, and beyond.
fn write_new(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut out = own_file().write(true).truncate(false).open(file)?;
    out.write_all(text)?;
    out.set_len(text.len() as u64)?;
    out.sync_all()
}

/// Writes over a file in place, in the room that it has; tells whether it has enough. Whoever reads it just
/// then may see half of both.
pub(crate) fn write_in_place(file: &Path, text: &[u8]) -> io::Result<bool> {
    let mut out = match own_file().create(false).write(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let length = usize::try_from(out.metadata()?.len()).unwrap_or(usize::MAX);
    if length < text.len() {
        return Ok(false);
    }
    // Spaces behind the text, as a shorter file might give its room to others.
    let mut whole = vec![b' '; length];
    whole[..text.len()].copy_from_slice(text);
    out.write_all(&whole)?;
    out.sync_data()?;
    Ok(true)
}

/// Takes from others what they may do with the files that are there, as an earlier engine may have
/// made them, or a copy. Other files that happen to be in the directory stay as they are, and so do
/// those of another user, who has to give them to us.
pub(crate) fn close_to_others(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(is_data_file);
        let metadata = entry.metadata()?;
        let mode = metadata.permissions().mode();
        let may_change = metadata.uid() == geteuid().as_raw();
        if is_ours && may_change && metadata.is_file() && mode & OTHERS != 0 {
            fs::set_permissions(entry.path(), Permissions::from_mode(mode & !OTHERS & 0o7777))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_written_in_place_only_where_it_has_the_room() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("engine.json");
        assert!(!write_in_place(&file, b"{}").unwrap() && !file.exists());
        fs::write(&file, "{\"a\":1}").unwrap();
        assert!(write_in_place(&file, b"{\"b\":2}").unwrap());
        assert!(write_in_place(&file, b"{}").unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}     ");
        assert!(!write_in_place(&file, b"{\"abc\":1}").unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}     ", "left as it was");
    }

    #[test]
    fn a_file_is_its_owner_s_however_it_came_to_be() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["queues.db", "queues.db-wal", "engine.3.log", "schedule.json", "my-thesis.txt"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o666)).unwrap();
        }
        write_durably(&dir.path().join("engine.json"), b"{}").unwrap();
        assert_eq!(mode(&dir.path().join("engine.json")), 0o600);
        close_to_others(dir.path()).unwrap();
        for name in ["queues.db", "queues.db-wal", "engine.3.log", "schedule.json"] {
            assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&dir.path().join("my-thesis.txt")), 0o666);
    }
}
