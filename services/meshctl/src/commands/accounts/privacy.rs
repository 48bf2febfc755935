//! What is kept of somebody: told as a document, and erased.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use torchmesh_api::accounts::v1::{
    ErasePersonRequest, EraseTenantRequest, ExportPersonRequest, ExportTenantRequest, privacy_service_client::PrivacyServiceClient,
};

use super::{Accounts, people, refused};
use crate::{
    cli::{EraseCommand, ExportCommand, ExportTo, Sure},
    error::{FAILED, Failure, Result, USAGE},
    output::Screen,
};

impl Accounts {
    fn privacy(&self) -> PrivacyServiceClient<tonic::transport::Channel> {
        PrivacyServiceClient::new(self.channel.clone())
    }
}

/// Writes everything about a tenant or a person down.
pub(super) async fn export(accounts: &Accounts, command: &ExportCommand, screen: &Screen) -> Result<()> {
    match command {
        ExportCommand::Tenant { tenant, without_usage_events, to } => {
            let asked = ExportTenantRequest { tenant: tenant.clone(), without_usage_events: *without_usage_events };
            let mut pieces = accounts.privacy().export_tenant(accounts.unhurried(asked)).await.map_err(refused)?.into_inner();
            let mut document = Document::open(to)?;
            while let Some(piece) = pieces.message().await.map_err(refused)? {
                document.put(&piece.json)?;
            }
            document.whole(screen)
        }
        ExportCommand::Person { member, to } => {
            let asked = ExportPersonRequest { member: member.clone() };
            let mut pieces = accounts.privacy().export_person(accounts.unhurried(asked)).await.map_err(refused)?.into_inner();
            let mut document = Document::open(to)?;
            while let Some(piece) = pieces.message().await.map_err(refused)? {
                document.put(&piece.json)?;
            }
            document.whole(screen)
        }
    }
}

/// Removes who somebody was.
pub(super) async fn erase(accounts: &Accounts, command: &EraseCommand, screen: &Screen) -> Result<()> {
    match command {
        EraseCommand::Tenant { tenant, sure } => {
            is_meant(*sure)?;
            let asked = accounts.request(EraseTenantRequest { tenant: tenant.clone() });
            people::one(accounts.privacy().erase_tenant(asked).await.map_err(refused)?.into_inner().tenant, screen)
        }
        EraseCommand::Person { member, sure } => {
            is_meant(*sure)?;
            let asked = accounts.request(ErasePersonRequest { member: member.clone() });
            let id = accounts.privacy().erase_person(asked).await.map_err(refused)?.into_inner().member_id;
            screen.show(&serde_json::json!({ "id": id, "erased": true }), || format!("{id} is erased"))
        }
    }
}

fn is_meant(sure: Sure) -> Result<()> {
    if sure.yes {
        return Ok(());
    }
    Err(Failure::new(USAGE, "this cannot be undone")
        .help("--yes says that you mean it; `meshctl accounts export` writes down what there is"))
}

/// A document as it comes: into a draft beside its file, which nobody takes for the whole of it, or to standard output.
enum Document<'a> {
    File { file: File, path: &'a Path },
    Standard,
}

impl<'a> Document<'a> {
    fn open(to: &'a ExportTo) -> Result<Self> {
        let Some(path) = to.file.as_deref() else { return Ok(Self::Standard) };
        if path.exists() {
            return Err(Failure::new(FAILED, format!("{} is there already", path.display())).help("--to names a file that is new"));
        }
        let draft = draft(path);
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft);
        Ok(Self::File { file: file.map_err(|error| Failure::file("write", &draft, &error))?, path })
    }

    fn put(&mut self, piece: &[u8]) -> Result<()> {
        let written = match self {
            Self::File { file, .. } => file.write_all(piece),
            Self::Standard => io::stdout().write_all(piece),
        };
        written.map_err(|error| Failure::new(FAILED, format!("cannot write: {error}")))
    }

    fn whole(self, screen: &Screen) -> Result<()> {
        let Self::File { file, path } = self else { return Ok(()) };
        let done = file.sync_all().and_then(|()| fs::rename(draft(path), path));
        done.map_err(|error| Failure::file("write", path, &error))?;
        screen.note(&format!("everything is in {}", path.display()));
        Ok(())
    }
}

fn draft(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".draft");
    name.into()
}
