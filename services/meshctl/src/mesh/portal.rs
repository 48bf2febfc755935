//! The portal of a local mesh: whom it asks, and what the accounts are told of it.

use std::net::TcpListener;

use toml::{Table, Value};

use super::{Kind, Plan};
use crate::{
    error::{Failure, Result, UNAVAILABLE},
    home::Home,
};

/// Where it is when nothing else is said: people type it.
pub(super) const ADDRESS: &str = "127.0.0.1:8084";

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Has the accounts run, since the portal is a client of theirs.
pub(super) fn needs(services: &mut [Plan]) {
    if services.iter().any(|plan| plan.kind == Kind::Portal && plan.instances > 0) {
        services.iter_mut().filter(|plan| plan.kind == Kind::Accounts).for_each(|plan| plan.instances = plan.instances.max(1));
    }
}

/// Tells the portal where the others are, and the accounts where letters lead to, unless they are told otherwise. Nothing, where there is none.
pub(super) fn join(services: &mut [Plan], home: &Home) -> Result<()> {
    let Some(portal) = services.iter().find(|plan| plan.kind == Kind::Portal) else { return Ok(()) };
    let own = portal.setting("addr", environment).unwrap_or_else(|| ADDRESS.to_owned());
    let router = router(services)?;
    let of = |kind| services.iter().find(|plan| plan.kind == kind).and_then(|plan| plan.setting("addr", environment));
    let (accounts, gateway) = (of(Kind::Accounts), of(Kind::Gateway));
    let text = |path: std::path::PathBuf| path.display().to_string();
    let known = [
        ("accounts", "address", accounts.as_deref().map(url)),
        ("accounts", "operator_token_file", Some(text(home.operator_token()))),
        ("gateway", "address", gateway.as_deref().map(url)),
        ("gateway", "key_file", Some(text(home.dev_key()))),
        ("router", "address", router.as_deref().map(url)),
    ];
    for plan in services.iter_mut() {
        match plan.kind {
            Kind::Portal => known.iter().for_each(|(table, key, value)| fill(&mut plan.settings, table, key, value.as_deref())),
            Kind::Accounts => {
                plan.settings.entry("sign_up").or_insert(Value::Boolean(true));
                let link = format!("{}/letters/{{purpose}}?token=", url(&own));
                fill(&mut plan.settings, "mail", "link", Some(&link));
            }
            Kind::Gateway | Kind::Pipelines | Kind::Router | Kind::Worker => {}
        }
    }
    Ok(())
}

fn url(address: &str) -> String {
    format!("http://{}", address.replacen("0.0.0.0:", "127.0.0.1:", 1))
}

/// The address of the one router, which the portal has to know before either runs. Of several none: they have no address in common.
fn router(services: &mut [Plan]) -> Result<Option<String>> {
    let Some(router) = services.iter_mut().find(|plan| plan.kind == Kind::Router && plan.instances == 1) else { return Ok(None) };
    let told = router.setting("addr", environment).filter(|address| !address.ends_with(":0"));
    if told.is_some() {
        return Ok(told);
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let free = free.map_err(|error| Failure::new(UNAVAILABLE, format!("no free port for the router: {error}")))?.to_string();
    router.settings.insert("addr".to_owned(), Value::String(free.clone()));
    Ok(Some(free))
}

/// Puts what is known into a table, where it is not said already.
fn fill(settings: &mut Table, table: &str, key: &str, value: Option<&str>) {
    let table = settings.entry(table).or_insert_with(|| Value::Table(Table::new()));
    if let (Value::Table(table), Some(value)) = (table, value) {
        table.entry(key).or_insert_with(|| Value::String(value.to_owned()));
    }
}
