//! What a module takes and gives, as tables in its README, in the form of terraform-docs. They are made
//! from the module's files, and `cargo xtask lint` fails when they are not current.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hcl::expr::Expression;
use hcl::{Block, Body};

use crate::workspace;

const BEGIN: &str = "<!-- BEGIN_TF_DOCS -->\n";
const END: &str = "<!-- END_TF_DOCS -->\n";

/// Writes the tables of all modules.
pub(crate) fn write() -> anyhow::Result<()> {
    for module in modules()? {
        let (file, _, current) = readme(&module)?;
        std::fs::write(&file, current).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Fails unless the tables of all modules are what their files say.
pub(crate) fn check() -> anyhow::Result<()> {
    for module in modules()? {
        let (file, written, current) = readme(&module)?;
        if written != current {
            bail!("{} is not current; `cargo xtask schema` writes its tables", file.display());
        }
    }
    Ok(())
}

/// The folders of the modules.
fn modules() -> anyhow::Result<Vec<PathBuf>> {
    let dir = workspace::root().join("modules");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut modules: Vec<PathBuf> = paths.collect::<std::io::Result<_>>()?;
    modules.retain(|path| path.join("variables.tf").exists());
    modules.sort();
    Ok(modules)
}

/// A module's README: where it is, what it says, and what it should say.
fn readme(module: &Path) -> anyhow::Result<(PathBuf, String, String)> {
    let file = module.join("README.md");
    let written =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    is_the_example(module, &written)?;
    let tables = tables(module)?;
    let current = match (written.find(BEGIN), written.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{tables}{}", &written[..begin], &written[end + END.len()..])
        }
        (None, None) => format!("{}\n\n{tables}", written.trim_end()),
        _ => bail!("{} has one mark of its tables without the other", file.display()),
    };
    Ok((file, written, current))
}

/// Fails unless the first piece of Terraform in a README is the module's example, which is planned.
fn is_the_example(module: &Path, readme: &str) -> anyhow::Result<()> {
    let shown = readme.split("```hcl\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.with_context(|| format!("{} shows no Terraform", module.display()))?;
    let sources = "github.com/OWNER/REPOSITORY//modules/";
    let shown = shown.replace(sources, "../../../").replace("?ref=TAG", "");
    let example = module.join("examples").join("basic").join("main.tf");
    let planned = std::fs::read_to_string(&example)
        .with_context(|| format!("reading {}", example.display()))?;
    if shown != planned {
        bail!("{} is not what the module's README shows", example.display());
    }
    Ok(())
}

fn tables(module: &Path) -> anyhow::Result<String> {
    let mut text = BEGIN.to_owned();
    let versions = body(module, "versions.tf")?;
    text.push_str("## Requirements\n\n| Name | Version |\n|---|---|\n");
    for terraform in blocks(&versions, "terraform") {
        if let Some(version) = attribute(terraform, "required_version") {
            row(&mut text, ["terraform".to_owned(), plain(version)]);
        }
        for providers in blocks(&terraform.body, "required_providers") {
            for provider in providers.body.attributes() {
                let version = match provider.expr() {
                    Expression::Object(fields) => fields
                        .iter()
                        .find(|(key, _)| key.to_string() == "version")
                        .map(|(_, value)| plain(value)),
                    _ => None,
                };
                row(&mut text, [provider.key().to_owned(), version.unwrap_or_default()]);
            }
        }
    }
    text.push_str("\n## Inputs\n\n| Name | Description | Type | Default | Required |\n|---|---|---|---|:---:|\n");
    let variables = body(module, "variables.tf")?;
    // What must be given first.
    let mut inputs: Vec<&Block> = blocks(&variables, "variable").collect();
    inputs.sort_by_key(|input| (attribute(input, "default").is_some(), name(input).to_owned()));
    for input in inputs {
        let default = attribute(input, "default");
        row(
            &mut text,
            [
                name(input).to_owned(),
                description(input).with_context(|| format!("variable {}", name(input)))?,
                code(attribute(input, "type").context("a variable has no type")?)?,
                default.map_or_else(|| Ok("n/a".to_owned()), code)?,
                if default.is_none() { "yes" } else { "no" }.to_owned(),
            ],
        );
    }
    text.push_str("\n## Outputs\n\n| Name | Description |\n|---|---|\n");
    let outputs = body(module, "outputs.tf")?;
    let mut outputs: Vec<&Block> = blocks(&outputs, "output").collect();
    outputs.sort_by_key(|output| name(output));
    for output in outputs {
        let description =
            description(output).with_context(|| format!("output {}", name(output)))?;
        row(&mut text, [name(output).to_owned(), description]);
    }
    text.push_str(END);
    Ok(text)
}

fn body(module: &Path, file: &str) -> anyhow::Result<Body> {
    let path = module.join(file);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    hcl::parse(&text).with_context(|| format!("reading {}", path.display()))
}

fn blocks<'a>(body: &'a Body, kind: &'a str) -> impl Iterator<Item = &'a Block> {
    body.blocks().filter(move |block| block.identifier() == kind)
}

fn name(block: &Block) -> &str {
    block.labels().first().map_or("", |label| label.as_str())
}

fn attribute<'a>(block: &'a Block, key: &str) -> Option<&'a Expression> {
    block.body.attributes().find(|attribute| attribute.key() == key).map(hcl::Attribute::expr)
}

fn description(block: &Block) -> anyhow::Result<String> {
    let text = plain(attribute(block, "description").context("it has no description")?);
    Ok(text.trim().replace('\n', "<br>"))
}

/// A text as it is meant.
fn plain(expression: &Expression) -> String {
    match expression {
        Expression::String(text) => text.clone(),
        Expression::TemplateExpr(template) => {
            // The indented form of a heredoc has lost its indentation by now.
            hcl::Template::from_expr(template)
                .map_or_else(|_| template.to_string(), |it| it.to_string())
        }
        other => other.to_string(),
    }
}

/// An expression as it is written.
fn code(expression: &Expression) -> anyhow::Result<String> {
    let text = hcl::format::to_string(expression).context("writing an expression")?;
    let text = text.trim_end();
    if !text.contains('\n') {
        return Ok(format!("`{text}`"));
    }
    Ok(format!("<pre>{}</pre>", text.replace('\n', "<br>")))
}

fn row<const N: usize>(text: &mut String, cells: [String; N]) {
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    for part in ["| ", &cells.join(" | "), " |\n"] {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(variables: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        write("versions.tf", "terraform {\n  required_version = \">= 1.11\"\n}\n");
        write("variables.tf", variables);
        write("outputs.tf", "output \"url\" {\n  description = \"Where it is.\"\n  value = 1\n}\n");
        write("README.md", "# module\n\n```hcl\nsource = 1\n```\n");
        std::fs::create_dir_all(dir.path().join("examples/basic")).unwrap();
        write("examples/basic/main.tf", "source = 1\n");
        dir
    }

    #[test]
    fn a_table_says_what_a_module_takes_and_gives() {
        let dir = module(
            "variable \"size\" {\n  description = \"Of a | b.\"\n  type = number\n  default = 3\n}\n\
             variable \"name\" {\n  description = <<-EOT\n    One.\n    Two.\n  EOT\n  type = string\n}\n",
        );
        let (_, _, current) = readme(dir.path()).unwrap();
        for line in [
            "| terraform | >= 1.11 |\n",
            "| name | One.<br>Two. | `string` | n/a | yes |\n| size | Of a \\| b. | `number` | `3` | no |\n",
            "| url | Where it is. |\n",
        ] {
            assert!(current.contains(line), "{line} in {current}");
        }
        // Written once more it stays as it is, and what stands around it too.
        std::fs::write(dir.path().join("README.md"), format!("{current}\n## After\n")).unwrap();
        let (_, written, again) = readme(dir.path()).unwrap();
        assert_eq!(written, again);
    }

    #[test]
    fn what_is_not_described_is_refused() {
        let dir = module("variable \"size\" {\n  type = number\n}\n");
        let error = format!("{:#}", readme(dir.path()).unwrap_err());
        assert!(error.contains("variable size: it has no description"), "{error}");
    }

    #[test]
    fn an_example_that_is_not_the_one_that_is_planned_is_refused() {
        let dir = module("");
        std::fs::write(dir.path().join("examples/basic/main.tf"), "source = 2\n").unwrap();
        let error = format!("{:#}", readme(dir.path()).unwrap_err());
        assert!(error.contains("main.tf is not what the module's README shows"), "{error}");
    }

    #[test]
    fn the_tables_in_the_repository_are_current() {
        check().unwrap();
    }
}
