//! Paths of the API, as routes have them: fixed segments and `{name}`s.

use std::collections::BTreeSet;
use std::fmt;

/// A path of the API, with `{name}` for parts that vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePath {
    text: String,
    segments: Vec<PathSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathSegment {
    Fixed(String),
    Parameter(String),
}

impl RoutePath {
    /// Parses a path of the API.
    ///
    /// # Errors
    ///
    /// A text that says what a path may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = || {
            format!(
                "a path is \"/\" and segments of letters, digits and \"-._~\", or of one {{name}}, is {text:?}"
            )
        };
        let rest = text.strip_prefix('/').ok_or_else(rule)?;
        let segments: Option<Vec<PathSegment>> = rest.split('/').map(PathSegment::parse).collect();
        let path = Self { text: text.to_owned(), segments: segments.ok_or_else(rule)? };
        let names: BTreeSet<&str> = path.parameters().collect();
        if names.len() < path.parameters().count() {
            return Err(format!("has a parameter twice, is {text:?}"));
        }
        Ok(path)
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the `{name}` parts.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Parameter(name) => Some(name.as_str()),
            PathSegment::Fixed(_) => None,
        })
    }

    /// The values of the `{name}` parts if `path`, of a request, is this path.
    #[must_use]
    pub fn matches<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let given = path.strip_prefix('/')?.split('/');
        if given.clone().count() != self.segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, given) in self.segments.iter().zip(given) {
            match segment {
                PathSegment::Fixed(text) if text == given => {}
                PathSegment::Parameter(name) if !given.is_empty() => {
                    parameters.push((name.as_str(), given));
                }
                PathSegment::Fixed(_) | PathSegment::Parameter(_) => return None,
            }
        }
        Some(parameters)
    }

    /// Of several, the one whose path is that of a request, with the values of its parameters. Of
    /// those, the most specific, as API Gateway chooses.
    pub fn choose<'a, T>(
        among: impl IntoIterator<Item = &'a T>,
        path_of: impl Fn(&'a T) -> &'a Self,
        path: &'a str,
    ) -> Option<(&'a T, Vec<(&'a str, &'a str)>)> {
        among
            .into_iter()
            .filter_map(|item| Some((item, path_of(item).matches(path)?)))
            .min_by_key(|(item, _)| path_of(item).rank())
    }

    /// Whether some request's path could be both, at equal rank.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (PathSegment::Fixed(a), PathSegment::Fixed(b)) => a == b,
                (PathSegment::Parameter(_), PathSegment::Parameter(_)) => true,
                _ => false,
            })
    }

    /// How specific the path is: fixed parts go before parameters, from the left.
    fn rank(&self) -> Vec<bool> {
        self.segments.iter().map(|segment| matches!(segment, PathSegment::Parameter(_))).collect()
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathSegment {
    fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let good = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            return good.then(|| Self::Parameter(name.to_owned()));
        }
        let good = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        good.then(|| Self::Fixed(text.to_owned()))
    }
}
