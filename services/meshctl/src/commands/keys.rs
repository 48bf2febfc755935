//! `meshctl keys`: who may call.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use serde::Serialize;
use torchmesh_api::{
    access::{ModelGrants, Scopes, key::NewKey},
    ids::TenantId,
};

use crate::{
    cli::{CreateArgs, KeysArgs, KeysCommand, Which},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    key::{draw, sha256_hex},
    keys_file::{Entry, KeysFile, Kind, edit, load, moment},
    output::{Colour, Screen, table},
};

/// A new key, the only time that it is shown.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    key: &'a str,
}

/// Does what was asked.
pub(crate) fn keys(args: &KeysArgs, home: &Home, screen: &Screen) -> Result<()> {
    let path = args.keys_file.clone().unwrap_or_else(|| home.keys());
    match &args.what {
        KeysCommand::Create(args) => create(args, &path, screen),
        KeysCommand::List => list(&path, screen),
        KeysCommand::Revoke { which, id } => revoke(which, id.as_deref(), &path, screen),
        KeysCommand::Rotate { which, overlap, expires } => {
            let until = (!overlap.is_zero()).then(|| moment(SystemTime::now(), *overlap));
            let (entry, key) = edit(&path, |file| rotate(file, which, until.as_deref(), expires.clone()))?;
            if let Some(until) = until {
                screen.note(&format!("the old key is good until {until}"));
            }
            show(&entry, &key, screen)
        }
    }
}

fn create(args: &CreateArgs, path: &Path, screen: &Screen) -> Result<()> {
    let entry = described(args)?;
    let (entry, key) = edit(path, |file| add(file, entry))?;
    show(&entry, &key, screen)
}

/// The entry that was asked for, its secret not yet drawn.
fn described(args: &CreateArgs) -> Result<Entry> {
    let usage = |error: String| Failure::new(USAGE, error);
    let name = args.which.name.clone();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) || (args.which.client && name.contains(':')) {
        return Err(usage("a name has 1 to 128 characters, and that of a client no colon".to_owned()));
    }
    TenantId::parse(&args.tenant).map_err(|error| usage(format!("--tenant: {error}")))?;
    Scopes::parse(args.scopes.iter().map(String::as_str)).map_err(|error| usage(format!("--scope: {error}")))?;
    ModelGrants::parse(args.models.iter().map(String::as_str)).map_err(|error| usage(format!("--model: {error}")))?;
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    Ok(Entry {
        kind: args.which.kind(),
        name,
        id: String::new(),
        tenant: args.tenant.clone(),
        scopes: given(&args.scopes),
        models: given(&args.models),
        expires: args.expires.clone(),
        sha256: String::new(),
    })
}

/// Draws the secret of an entry, and adds it under a name that is free.
fn add(file: &mut KeysFile, entry: Entry) -> Result<(Entry, String)> {
    if file.entries().iter().any(|other| other.kind == entry.kind && other.name == entry.name) {
        let client = if entry.kind == Kind::Client { " --client" } else { "" };
        let problem = format!("there is one named {:?} already", entry.name);
        return Err(Failure::new(USAGE, problem).help(format!("`meshctl keys rotate {}{client}` makes a new one in its place", entry.name)));
    }
    put(file, entry)
}

fn put(file: &mut KeysFile, entry: Entry) -> Result<(Entry, String)> {
    let NewKey { id, key } = draw(None)?;
    let entry = Entry { id, sha256: sha256_hex(&key), ..entry };
    file.add(&entry)?;
    Ok((entry, key))
}

/// A new key with the rights of the last one of its name, which is good until `until`, or no longer.
fn rotate(file: &mut KeysFile, which: &Which, until: Option<&str>, expires: Option<String>) -> Result<(Entry, String)> {
    let kind = which.kind();
    let old = file.entries().into_iter().rfind(|entry| entry.kind == kind && entry.name == which.name);
    let old = old.ok_or_else(|| missing(which, None))?;
    let same = |entry: &Entry| entry.name == which.name;
    match until {
        Some(until) => file.end(kind, until, same),
        None => {
            file.remove(kind, same);
        }
    }
    put(file, Entry { expires, ..old })
}

fn revoke(which: &Which, id: Option<&str>, path: &Path, screen: &Screen) -> Result<()> {
    let gone = |entry: &Entry| entry.name == which.name && id.is_none_or(|id| entry.id == id);
    let count = edit(path, |file| match file.remove(which.kind(), gone) {
        0 => Err(missing(which, id)),
        count => Ok(count),
    })?;
    let value = serde_json::json!({ "revoked": count });
    screen.show(&value, || format!("{count} revoked; gateways refuse it within a second"))
}

fn missing(which: &Which, id: Option<&str>) -> Failure {
    let with = id.map_or_else(String::new, |id| format!(" with the id {id:?}"));
    let what = if which.client { "client" } else { "key" };
    Failure::new(FAILED, format!("there is no {what} named {:?}{with}", which.name)).help("`meshctl keys list` lists those there are")
}

fn show(entry: &Entry, key: &str, screen: &Screen) -> Result<()> {
    screen.note("this is the only time that it is shown");
    screen.show(&Made { entry, key }, || key.to_owned())
}

fn list(path: &Path, screen: &Screen) -> Result<()> {
    let entries = load(path)?.entries();
    let now = moment(SystemTime::now(), std::time::Duration::ZERO);
    let names: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
    screen.note(&format!("{} in {}", names.len(), path.display()));
    screen.show(&entries, || text(&entries, &now, screen))
}

fn text(entries: &[Entry], now: &str, screen: &Screen) -> String {
    let words = |list: &Option<Vec<String>>, absent: &str| list.as_ref().map_or_else(|| absent.to_owned(), |words| words.join(" "));
    let row = |entry: &Entry| {
        let expires = match &entry.expires {
            Some(at) if at.as_str() <= now => screen.paint(Colour::Red, &format!("{at} (over)")),
            Some(at) => at.clone(),
            None => "never".to_owned(),
        };
        let kind = if entry.kind == Kind::Client { "client" } else { "key" };
        let (scopes, models) = (words(&entry.scopes, "infer models:read"), words(&entry.models, "*"));
        [entry.name.clone(), kind.to_owned(), entry.id.clone(), entry.tenant.clone(), scopes, models, expires]
    };
    table(["name", "kind", "id", "tenant", "scopes", "models", "expires"], entries.iter().map(row))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::access::key::{Spelling, spelling};

    use super::*;

    fn args(name: &str) -> CreateArgs {
        let which = Which { name: name.to_owned(), client: false };
        CreateArgs { which, tenant: "acme".to_owned(), scopes: vec!["infer".to_owned()], models: vec!["mini*".to_owned()], expires: None }
    }

    fn file_with(name: &str) -> (KeysFile, String) {
        let mut file = KeysFile::parse("").unwrap();
        let (_, key) = add(&mut file, described(&args(name)).unwrap()).unwrap();
        (file, key)
    }

    #[test]
    fn a_key_is_in_the_file_by_its_hash_only() {
        let (file, key) = file_with("search");
        let [entry] = &file.entries()[..] else { panic!("{}", file.text()) };
        assert_eq!((entry.sha256.clone(), spelling(key.as_bytes())), (sha256_hex(&key), Spelling::Right));
        assert!(key.contains(&entry.id) && !file.text().contains(&key));
        assert_eq!(entry.models.as_deref(), Some(&["mini*".to_owned()][..]));
    }

    #[test]
    fn a_name_is_given_once() {
        let (mut file, _) = file_with("search");
        let refused = add(&mut file, described(&args("search")).unwrap()).unwrap_err();
        assert!(refused.help.unwrap().contains("keys rotate search"));
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_written() {
        for (change, part) in [
            (CreateArgs { tenant: "not a tenant".to_owned(), ..args("n") }, "--tenant"),
            (CreateArgs { scopes: vec!["write".to_owned()], ..args("n") }, "--scope"),
            (CreateArgs { models: vec!["a b".to_owned()], ..args("n") }, "--model"),
            (args(""), "name"),
        ] {
            let refused = described(&change).unwrap_err();
            assert!(refused.problem.contains(part), "{}", refused.problem);
        }
    }

    #[test]
    fn a_rotation_leaves_both_keys_with_the_same_rights_and_ends_the_old_one() {
        let (mut file, _) = file_with("search");
        let which = args("search").which;
        rotate(&mut file, &which, Some("2030-01-01T00:00:00Z"), None).unwrap();
        let [old, new] = &file.entries()[..] else { panic!("{}", file.text()) };
        assert_eq!((old.expires.as_deref(), &new.expires), (Some("2030-01-01T00:00:00Z"), &None));
        assert!(old.sha256 != new.sha256 && old.scopes == new.scopes && old.models == new.models && old.tenant == new.tenant);
        rotate(&mut file, &which, None, None).unwrap();
        assert_eq!(file.entries().len(), 1, "without an overlap the old ones are gone");
        assert!(rotate(&mut file, &args("other").which, None, None).is_err());
    }
}
