//! The expressions of API Gateway's parameter mapping, parsed once.
//!
//! Source: API Gateway guide, "Integrations with AWS services for HTTP APIs" and "Transforming API
//! requests and responses for HTTP APIs".

use std::fmt;

/// A parameter's value: one variable (`$request.header.x`), text with variables in it
/// (`wf-${request.header.x}`), or plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    source: String,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Text(String),
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    /// In lower case: header names are case-insensitive.
    Header(String),
    QueryString(String),
    PathParameter(String),
    Path,
    Body,
    BodyField(Vec<Step>),
    Context(String),
    Stage(String),
}

/// One step into a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// A `$…` that is none of API Gateway's variables.
    #[error(
        "unknown variable {0:?}: expected $request.header.NAME, $request.querystring.NAME, \
         $request.path.NAME, $request.path, $request.body, $request.body.FIELD, $context.NAME or \
         $stageVariables.NAME"
    )]
    UnknownVariable(String),
    /// A `${` without its `}`.
    #[error("{0:?} has a `${{` without a `}}`")]
    Unclosed(String),
    /// A JSON path that API Gateway does not take, such as `..` or `?()`.
    #[error("{0:?} is not a path of fields and indices such as $request.body.order.items[0].id")]
    BodyPath(String),
    /// Nothing at all.
    #[error("is empty")]
    Empty,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] for what API Gateway would not resolve.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        let segments = if source.is_empty() {
            return Err(ExpressionError::Empty);
        } else if source.contains("${") {
            interpolation(source)?
        } else if let Some(variable) = source.strip_prefix('$') {
            vec![Segment::Variable(Variable::parse(variable)?)]
        } else {
            vec![Segment::Text(source.to_owned())]
        };
        Ok(Self { source: source.to_owned(), segments })
    }

    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text itself, if no variable is in it.
    #[must_use]
    pub fn as_static(&self) -> Option<&str> {
        self.segments
            .iter()
            .all(|segment| matches!(segment, Segment::Text(_)))
            .then_some(self.source.as_str())
    }

    /// The headers that the value is made from, in lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Variable(Variable::Header(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The names of the path parameters that the value is made from.
    pub fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Variable(Variable::PathParameter(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The same value for use inside text: `$request.header.x` becomes `${request.header.x}`.
    #[must_use]
    pub fn interpolated(&self) -> String {
        match self.source.strip_prefix('$') {
            Some(variable) if !self.source.contains("${") => format!("${{{variable}}}"),
            _ => self.source.clone(),
        }
    }
}

/// As it is written where it stands alone.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "$request.header.{name}"),
            Self::QueryString(name) => write!(f, "$request.querystring.{name}"),
            Self::PathParameter(name) => write!(f, "$request.path.{name}"),
            Self::Path => f.write_str("$request.path"),
            Self::Body => f.write_str("$request.body"),
            Self::BodyField(steps) => {
                f.write_str("$request.body")?;
                steps.iter().try_for_each(|step| match step {
                    Step::Field(name) => write!(f, ".{name}"),
                    Step::Index(index) => write!(f, "[{index}]"),
                })
            }
            Self::Context(name) => write!(f, "$context.{name}"),
            Self::Stage(name) => write!(f, "$stageVariables.{name}"),
        }
    }
}

fn interpolation(source: &str) -> Result<Vec<Segment>, ExpressionError> {
    let (mut segments, mut rest) = (Vec::new(), source);
    while let Some((text, after)) = rest.split_once("${") {
        let (variable, after) =
            after.split_once('}').ok_or_else(|| ExpressionError::Unclosed(source.to_owned()))?;
        if !text.is_empty() {
            segments.push(Segment::Text(text.to_owned()));
        }
        segments.push(Segment::Variable(Variable::parse(variable)?));
        rest = after;
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest.to_owned()));
    }
    Ok(segments)
}

impl Variable {
    /// Parses what follows the `$`, without braces.
    fn parse(source: &str) -> Result<Self, ExpressionError> {
        let unknown = || ExpressionError::UnknownVariable(format!("${source}"));
        let name = |name: &str| {
            let good = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            good.then(|| name.to_owned()).ok_or_else(unknown)
        };
        match source {
            "request.body" => return Ok(Self::Body),
            "request.path" => return Ok(Self::Path),
            _ => {}
        }
        if let Some(header) = source.strip_prefix("request.header.") {
            Ok(Self::Header(name(header)?.to_ascii_lowercase()))
        } else if let Some(parameter) = source.strip_prefix("request.querystring.") {
            Ok(Self::QueryString(name(parameter)?))
        } else if let Some(parameter) = source.strip_prefix("request.path.") {
            Ok(Self::PathParameter(name(parameter)?))
        } else if let Some(path) = source.strip_prefix("request.body") {
            body_path(path)
                .map(Self::BodyField)
                .ok_or_else(|| ExpressionError::BodyPath(format!("${source}")))
        } else if let Some(variable) = source.strip_prefix("context.") {
            Ok(Self::Context(name(variable)?))
        } else if let Some(variable) = source.strip_prefix("stageVariables.") {
            Ok(Self::Stage(name(variable)?))
        } else {
            Err(unknown())
        }
    }
}

/// Parses `.order.items[0]['id']`.
fn body_path(mut path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !path.is_empty() {
        if let Some(rest) = path.strip_prefix("['") {
            let (field, rest) = rest.split_once("']")?;
            steps.push(Step::Field(field.to_owned()));
            path = rest;
        } else if let Some(rest) = path.strip_prefix('[') {
            let (index, rest) = rest.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            path = rest;
        } else {
            let rest = path.strip_prefix('.')?;
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (field, rest) = rest.split_at(end);
            if field.is_empty() || field.contains(['*', '?', '(', ')', '\'', ']', ' ', '@', '$']) {
                return None;
            }
            steps.push(Step::Field(field.to_owned()));
            path = rest;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, segments: &[Segment]) {
        assert_eq!(Expression::parse(source).unwrap().segments, segments, "{source}");
    }

    fn variable(variable: Variable) -> Segment {
        Segment::Variable(variable)
    }

    #[test]
    fn every_form_of_the_guide() {
        check("$request.header.X-Id", &[variable(Variable::Header("x-id".into()))]);
        check("$request.querystring.Page", &[variable(Variable::QueryString("Page".into()))]);
        check("$request.path.id", &[variable(Variable::PathParameter("id".into()))]);
        check("$request.path", &[variable(Variable::Path)]);
        check("$request.body", &[variable(Variable::Body)]);
        check(
            "$context.identity.sourceIp",
            &[variable(Variable::Context("identity.sourceIp".into()))],
        );
        check("$stageVariables.queue", &[variable(Variable::Stage("queue".into()))]);
        check("mz-dev-sqs-webhook", &[Segment::Text("mz-dev-sqs-webhook".into())]);
        check(
            "$request.body.order.items[0]['line id']",
            &[variable(Variable::BodyField(vec![
                Step::Field("order".into()),
                Step::Field("items".into()),
                Step::Index(0),
                Step::Field("line id".into()),
            ]))],
        );
        check(
            "wf-${request.header.x}/${context.stage}!",
            &[
                Segment::Text("wf-".into()),
                variable(Variable::Header("x".into())),
                Segment::Text("/".into()),
                variable(Variable::Context("stage".into())),
                Segment::Text("!".into()),
            ],
        );
    }

    #[test]
    fn what_api_gateway_would_not_resolve_is_refused() {
        for bad in [
            "",
            "$",
            "$request.headers.x",
            "$request.header.",
            "$request.header.x y",
            "$request.body..id",
            "$request.body.items[?(@.a)]",
            "$request.body.items[*]",
            "$request.bodyfield",
            "$request.body.",
            "$contexts.requestId",
            "a-${request.header.x",
            "a-${}",
        ] {
            assert!(Expression::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_is_braced_for_use_inside_text() {
        for (source, interpolated) in [
            ("$request.header.x", "${request.header.x}"),
            ("wf-${request.header.x}", "wf-${request.header.x}"),
            ("static", "static"),
        ] {
            assert_eq!(Expression::parse(source).unwrap().interpolated(), interpolated);
        }
    }
}
