//! What of a body was changed, line by line.

use maud::{Markup, html};

/// Lines of either side that are compared one by one; more is shown as all gone and all new.
const COMPARED_MAX: usize = 2_000;

/// Lines before and behind a change that are shown.
const AROUND: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Before,
    After,
}

/// The lines of both, in the order in which one becomes the other.
pub(super) fn diff(before: &str, after: &str) -> Markup {
    let lines = lines(before, after);
    let is_near = |place: usize| {
        let around = place.saturating_sub(AROUND)..(place + AROUND + 1).min(lines.len());
        lines[around].iter().any(|(side, _)| *side != Side::Both)
    };
    let mut left_out = false;
    let mut shown = Vec::new();
    for (place, (side, line)) in lines.iter().enumerate() {
        if is_near(place) {
            shown.push((Some(*side), *line));
            left_out = false;
        } else if !std::mem::replace(&mut left_out, true) {
            shown.push((None, "…"));
        }
    }
    html! {
        pre.diff {
            @for (side, line) in shown {
                @match side {
                    Some(Side::Before) => del { "- " (line) "\n" },
                    Some(Side::After) => ins { "+ " (line) "\n" },
                    Some(Side::Both) => { "  " (line) "\n" },
                    None => { (line) "\n" },
                }
            }
        }
    }
}

fn lines<'t>(before: &'t str, after: &'t str) -> Vec<(Side, &'t str)> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let ends = old[same..].iter().rev().zip(new[same..].iter().rev());
    let end = ends.take_while(|(a, b)| a == b).count();
    let (middle_old, middle_new) = (&old[same..old.len() - end], &new[same..new.len() - end]);
    let both = |lines: &[&'t str]| -> Vec<(Side, &'t str)> {
        lines.iter().map(|line| (Side::Both, *line)).collect()
    };
    [both(&old[..same]), compared(middle_old, middle_new), both(&old[old.len() - end..])].concat()
}

/// By their longest common subsequence.
fn compared<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Side, &'t str)> {
    let gone = old.iter().map(|line| (Side::Before, *line));
    let come = new.iter().map(|line| (Side::After, *line));
    if old.len() > COMPARED_MAX || new.len() > COMPARED_MAX {
        return gone.chain(come).collect();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u16; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            longest[i * width + j] = if a == b {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((Side::Both, old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]
        {
            lines.push((Side::Before, old[i]));
            i += 1;
        } else {
            lines.push((Side::After, new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        let sign = |side| match side {
            Side::Both => ' ',
            Side::Before => '-',
            Side::After => '+',
        };
        let lines = lines(before, after);
        lines
            .into_iter()
            .map(|(side, line)| format!("{}{line}", sign(side)))
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn only_what_changed_is_gone_or_new() {
        assert_eq!(told("a\nb\nc", "a\nB\nc"), " a|-b|+B| c");
        assert_eq!(told("a\nb\nc\nd\ne", "x\na\nc\ny\ne"), "+x| a|-b| c|-d|+y| e");
        assert_eq!(told("a", "a\n"), " a|+");
        assert_eq!(told("a\na", "a"), " a|-a");
        assert_eq!(told("same", "same"), " same");
        let many = |line: &str| format!("{line}\n").repeat(COMPARED_MAX + 5);
        let (before, after) = (format!("a{}b", many("x")), format!("b{}a", many("y")));
        let told = lines(&before, &after);
        assert!(told.iter().all(|(side, _)| *side != Side::Both));
    }

    #[test]
    fn what_is_far_from_a_change_is_left_out_and_what_others_wrote_is_text() {
        let before: Vec<String> = (0..20).map(|n| format!("<{n}>")).collect();
        let mut after = before.clone();
        after[10] = "<b>new</b>".to_owned();
        let shown = diff(&before.join("\n"), &after.join("\n")).into_string();
        assert!(shown.contains("- &lt;10&gt;") && shown.contains("+ &lt;b&gt;new"), "{shown}");
        assert!(shown.contains("&lt;7&gt;") && !shown.contains("&lt;6&gt;"), "{shown}");
        assert_eq!(shown.matches('…').count(), 2, "{shown}");
    }
}
