//! What a program's arguments say of themselves, as files that go into a release: man pages, and
//! completions for shells. Here because programs that are released have this in common, and nothing else.

pub mod typed;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::aot::{self, Shell};

/// Write man pages and completions
#[derive(Debug, clap::Args)]
pub struct Manual {
    /// The folder: `man` and `completions` in it are made if they are not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Manual {
    /// Writes those of a program, whose file has this `name`: `man/NAME*.1`, a page for each command, and
    /// `completions/NAME.bash`, `_NAME` for zsh and `NAME.fish`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, name: &'static str, program: Command) -> io::Result<()> {
        let program = program.name(name).bin_name(name);
        let (man, completions) = (self.dir.join("man"), self.dir.join("completions"));
        fs::create_dir_all(&man)?;
        fs::create_dir_all(&completions)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            aot::generate_to(shell, &mut program.clone(), name, &completions)?;
        }
        clap_mangen::generate_to(program, Path::new(&man))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page_and_hidden_ones_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let program = Command::new("other")
            .bin_name("cargo other")
            .version("1.2.3")
            .about("Does it")
            .subcommand(Command::new("look").about("Looks only"))
            .subcommand(Command::new("secret").hide(true));
        Manual { dir: dir.path().to_owned() }.write("tool", program).unwrap();
        let names = |dir: &Path| {
            let entries = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name());
            let mut names: Vec<_> = entries.map(|it| it.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&dir.path().join("man")), ["tool-look.1", "tool.1"]);
        let completions = names(&dir.path().join("completions"));
        assert_eq!(completions, ["_tool", "tool.bash", "tool.fish"]);
        let page = fs::read_to_string(dir.path().join("man/tool.1")).unwrap();
        assert!(page.contains("tool\\-look(1)") && page.contains("v1.2.3"), "{page}");
        assert!(!page.contains("other"), "{page}");
    }
}
