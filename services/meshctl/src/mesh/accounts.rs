//! The accounts of a local mesh: where they are, and how the gateway learns of them.

use std::{net::TcpListener, path::Path};

use toml::{Table, Value};

use super::{Kind, Plan};
use crate::{
    error::{Failure, Result, UNAVAILABLE},
    home::Home,
};

/// The settings that they are started with when nothing else is said.
pub(super) fn built_in(home: &Home) -> Vec<(&'static str, Value)> {
    vec![
        ("folder", text(&home.accounts())),
        ("operator_token_file", text(&home.operator_token())),
        ("gateway_token_file", text(&home.gateway_token())),
    ]
}

fn text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

/// Gives the accounts an address, and the gateway that address, unless it is told another one. Nothing, where there are none.
pub(super) fn join(services: &mut [Plan], home: &Home) -> Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let Some(accounts) = services.iter_mut().find(|plan| plan.kind == Kind::Accounts) else { return Ok(()) };
    fill(&mut accounts.settings, "webhooks", [("key_file", text(&home.webhook_keys()))]);
    let address = if let Some(address) = accounts.setting("addr", environment) {
        address
    } else {
        // The gateway has to know it before either runs, and when the accounts are started again.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let free = free.map_err(|error| Failure::new(UNAVAILABLE, format!("no free port for the accounts: {error}")))?.to_string();
        accounts.settings.insert("addr".to_owned(), Value::String(free.clone()));
        free
    };
    let address = Value::String(format!("http://{address}"));
    for gateway in services.iter_mut().filter(|plan| plan.kind == Kind::Gateway) {
        let token = text(&home.gateway_token());
        let own = [("address", address.clone()), ("token_file", token.clone()), ("snapshot_file", text(&home.accounts_snapshot()))];
        fill(&mut gateway.settings, "accounts", own);
        let events = [("accounts", address.clone()), ("accounts_token_file", token)];
        fill(&mut gateway.settings, "metering", events);
    }
    Ok(())
}

/// Puts what is not there into a table; nothing, where the first is there already.
fn fill<const N: usize>(settings: &mut Table, table: &str, own: [(&str, Value); N]) {
    let table = settings.entry(table).or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(table) = table else { return };
    if own.first().is_some_and(|(key, _)| table.contains_key(*key)) {
        return;
    }
    for (key, value) in own {
        table.entry(key).or_insert(value);
    }
}
