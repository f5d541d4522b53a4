//! The generated part of the page about records: a table of all members out of the schema, and the examples broken for the
//! eye, both in the order in which members are written.

use std::fmt::Write as _;

use latchkey_concierge::jwt::{Json, Limits, Object};

/// The schema is ours; it only has to be read in order.
const LIMITS: Limits = Limits { depth: 64, members: 16 * 1024, string: 64 * 1024 };

/// The members that the schema knows, in its order.
pub(crate) fn member_names(schema: &str) -> Vec<String> {
    properties(&parse(schema)).iter().map(|(name, _)| name.to_owned()).collect()
}

/// The members of a line, in their order.
pub(crate) fn names(line: &str) -> Vec<String> {
    parse(line).iter().map(|(name, _)| name.to_owned()).collect()
}

/// The table of all members, made of the schema's own words.
pub(crate) fn table(schema: &str) -> String {
    let schema = parse(schema);
    let mut table = "\n## Members\n\n| member | type | what it is |\n|---|---|---|\n".to_owned();
    rows(&schema, "", properties(&schema), &mut table);
    table + "\n## Examples\n\nOne log from its start to its end, each line broken here for the eye.\n"
}

/// One example.
pub(crate) fn example(name: &str, line: &str) -> String {
    let mut text = format!("\n### [`{name}`](examples/{name}.json)\n\n```json\n");
    pretty(&Json::Object(parse(line)), 0, &mut text);
    text + "\n```\n"
}

fn rows(schema: &Object, prefix: &str, members: &Object, table: &mut String) {
    for (name, member) in members.iter() {
        let meant = resolved(schema, member);
        let said = text(member, "description").or_else(|| text(meant, "description")).unwrap_or_default();
        let _ = writeln!(table, "| `{prefix}{name}` | {} | {said} |", kind(schema, meant));
        if let Some(inner) = inner(meant) {
            rows(schema, &format!("{prefix}{name}."), inner, table);
        }
        if let Some(inner) = get(meant, "items").and_then(|items| inner_of_items(schema, items)) {
            rows(schema, &format!("{prefix}{name}[]."), inner, table);
        }
    }
}

fn kind(schema: &Object, member: &Json) -> String {
    if let Some(word) = get(member, "const") {
        return format!("`{}`", plain(word));
    }
    if let Some(Json::Array(words)) = get(member, "enum") {
        return words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", ");
    }
    match (text(member, "type"), get(member, "maxLength")) {
        (Some("array"), _) => {
            let items = get(member, "items").map(|items| kind(schema, resolved(schema, items))).unwrap_or_default();
            let most = get(member, "maxItems").map(|most| format!(", at most {}", plain(most))).unwrap_or_default();
            format!("list{most}: {items}")
        }
        (Some(kind), Some(most)) => format!("{kind}, at most {} characters", plain(most)),
        (kind, _) => kind.unwrap_or_default().to_owned(),
    }
}

fn resolved<'s>(schema: &'s Object, member: &'s Json) -> &'s Json {
    let reference = text(member, "$ref").and_then(|reference| reference.strip_prefix("#/$defs/"));
    reference.and_then(|name| schema.get("$defs").and_then(|definitions| get(definitions, name))).unwrap_or(member)
}

fn inner_of_items<'s>(schema: &'s Object, items: &'s Json) -> Option<&'s Object> {
    inner(resolved(schema, items))
}

fn inner(member: &Json) -> Option<&Object> {
    match get(member, "properties") {
        Some(Json::Object(members)) => Some(members),
        _ => None,
    }
}

fn properties(schema: &Object) -> &Object {
    match schema.get("properties") {
        Some(Json::Object(members)) => members,
        _ => panic!("a schema without properties"),
    }
}

fn get<'j>(value: &'j Json, name: &str) -> Option<&'j Json> {
    match value {
        Json::Object(members) => members.get(name),
        _ => None,
    }
}

fn text<'j>(value: &'j Json, name: &str) -> Option<&'j str> {
    get(value, name).and_then(Json::as_str)
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => scalar(other),
    }
}

fn pretty(value: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth + 1);
    match value {
        Json::Object(members) => {
            out.push('{');
            for (position, (name, member)) in members.iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                let _ = write!(out, "{comma}\n{indent}{}: ", scalar(&Json::String(name.to_owned())));
                pretty(member, depth + 1, out);
            }
            let _ = write!(out, "\n{}}}", "  ".repeat(depth));
        }
        Json::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                out.push_str(if position == 0 { "" } else { ", " });
                pretty(item, depth + 1, out);
            }
            out.push(']');
        }
        other => out.push_str(&scalar(other)),
    }
}

fn scalar(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        Json::Array(_) | Json::Object(_) => panic!("not a scalar"),
    }
}

fn parse(text: &str) -> Object {
    Object::parse(text.as_bytes(), LIMITS).unwrap()
}
