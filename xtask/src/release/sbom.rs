//! The bill of materials: what each program of a release is made of.
//!
//! Source: `CycloneDX` 1.6, JSON. Without a serial number and a time, which are not required: the same
//! programs have the same bill.

use serde_json::{Value, json};

use super::parts::{Crate, Id, Other, Parts};

pub(super) fn sbom(parts: &Parts, version: &str) -> Value {
    let ours = "MIT OR Apache-2.0";
    let programs = parts.programs.iter().map(|(name, _)| {
        json!({
            "type": "application", "bom-ref": program(name), "name": name, "version": version,
            "licenses": [{ "expression": ours }],
        })
    });
    let crates = parts.crates.iter().map(|(id, it)| described(id, it));
    let others = parts.others.iter().map(|it| {
        json!({
            "type": "library", "bom-ref": other(it), "name": it.name, "version": it.version,
            "licenses": [{ "expression": it.license }],
        })
    });
    let of_compiler: Vec<String> =
        parts.others.iter().filter(|it| it.of.is_none()).map(other).collect();
    let root = "webhook-queue";
    let names: Vec<String> = parts.programs.iter().map(|(name, _)| program(name)).collect();
    let mut dependencies = vec![json!({ "ref": root, "dependsOn": names })];
    dependencies.extend(parts.programs.iter().map(|(name, id)| {
        let mut on = vec![reference(id, &parts.crates[id])];
        on.extend(of_compiler.iter().cloned());
        json!({ "ref": program(name), "dependsOn": on })
    }));
    dependencies.extend(parts.crates.iter().map(|(id, it)| {
        let linked = it.links.iter().map(|id| reference(id, &parts.crates[id]));
        let brought = parts.others.iter().filter(|other| other.of == Some(id.0.as_str()));
        let on: Vec<String> = linked.chain(brought.map(other)).collect();
        json!({ "ref": reference(id, it), "dependsOn": on })
    }));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": root, "name": root, "version": version,
            "licenses": [{ "expression": ours }],
        } },
        "components": programs.chain(crates).chain(others).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

fn described(id: &Id, it: &Crate) -> Value {
    let (name, version) = id;
    let mut component = json!({
        "type": "library", "bom-ref": reference(id, it), "name": name, "version": version,
        "licenses": [{ "expression": it.license }],
    });
    if let Some(checksum) = &it.checksum {
        component["purl"] = json!(reference(id, it));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = &it.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// A crate of the registry goes by its package URL, one of ours by its name.
fn reference((name, version): &Id, it: &Crate) -> String {
    match it.checksum {
        Some(_) => format!("pkg:cargo/{name}@{version}"),
        None => format!("crate:{name}@{version}"),
    }
}

fn program(name: &str) -> String {
    format!("bin/{name}")
}

fn other(it: &Other) -> String {
    format!("other:{}@{}", it.name, it.version)
}
