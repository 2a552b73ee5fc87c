//! By which command an engine was started, for whoever finds it gone: another command could start
//! another engine, on other data or with other destinations.

use std::borrow::Cow;
use std::ffi::OsString;

/// The variable by which who starts an engine for somebody else says what that one typed.
const VARIABLE: &str = "WEBHOOK_ENGINE_START_COMMAND";

/// The option whose value may hold a token.
const SECRET_OPTION: &str = "--target";

/// What starts this process again: what its starter says, the unit of systemd that it is the main
/// process of, or else its own arguments. It holds no secret.
#[must_use]
pub fn start_command() -> String {
    let variable = |name: &str| std::env::var(name).ok();
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let from_unit = || unit(&cgroup, std::process::id(), variable);
    variable(VARIABLE).or_else(from_unit).unwrap_or_else(|| {
        let directory = std::env::current_dir().unwrap_or_default();
        let directory = quoted(&directory.display().to_string());
        format!("cd {directory} && {}", typed(std::env::args_os()))
    })
}

/// The command for a unit. Source: systemd.exec(5), `SYSTEMD_EXEC_PID`; a process that the unit's main
/// one has started finds that one's id there.
fn unit(cgroup: &str, pid: u32, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is_main = variable("SYSTEMD_EXEC_PID").is_some_and(|main| main == pid.to_string());
    let path = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut units = path.filter_map(|path| {
        let (slice, unit) = path.rsplit_once('/')?;
        let scope = if slice.contains("/user@") { " --user" } else { "" };
        unit.ends_with(".service").then(|| format!("systemctl{scope} start {}", quoted(unit)))
    });
    units.next().filter(|_| is_main)
}

fn typed(words: impl Iterator<Item = OsString>) -> String {
    let mut is_secret = false;
    let words = words.map(|word| {
        let word = word.to_string_lossy().into_owned();
        let shown = match word.split_once('=') {
            _ if is_secret => "URL".to_owned(),
            Some((SECRET_OPTION, _url)) => format!("{SECRET_OPTION}=URL"),
            _ => quoted(&word),
        };
        is_secret = word == SECRET_OPTION;
        shown
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    // Arguments and names of files have no NUL in them.
    shlex::try_quote(word).map_or_else(|_nul| word.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_unit(cgroup: &str, main: Option<&str>, expected: Option<&str>) {
        let variable = |name: &str| main.filter(|_| name == "SYSTEMD_EXEC_PID").map(str::to_owned);
        assert_eq!(unit(cgroup, 7, variable).as_deref(), expected, "{cgroup}");
    }

    #[test]
    fn the_main_process_of_a_unit_is_started_by_that_unit() {
        let cgroup = "0::/system.slice/webhook-queue.service\n";
        check_unit(cgroup, Some("7"), Some("systemctl start webhook-queue.service"));
        check_unit(cgroup, Some("6"), None);
        check_unit(cgroup, None, None);
        check_unit("0::/user.slice/session-3.scope\n", Some("7"), None);
        let of_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/queue.service\n";
        check_unit(of_user, Some("7"), Some("systemctl --user start queue.service"));
        let first_version = "2:pids:/x.slice\n1:name=systemd:/system.slice/q@1.service\n";
        check_unit(first_version, Some("7"), Some("systemctl start q@1.service"));
    }

    #[test]
    fn another_process_is_started_by_its_arguments_without_what_may_be_a_token() {
        let words =
            ["/bin/webhook-engine", "--data-dir", "my data", "--target", "http://t:s@x/?k=1"];
        assert_eq!(
            typed(words.map(OsString::from).into_iter()),
            "/bin/webhook-engine --data-dir 'my data' --target URL"
        );
        let words = ["webhook-engine", "--target=http://x/?k=1", "--listen", "[::1]:8080"];
        assert_eq!(
            typed(words.map(OsString::from).into_iter()),
            "webhook-engine --target=URL --listen '[::1]:8080'"
        );
    }
}
