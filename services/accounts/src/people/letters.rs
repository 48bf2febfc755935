//! Letters to members, each with a token that is good once.
//!
//! They are written into a folder, a file for each, in the form in which mail is sent (RFC 5322): whatever delivers mail takes them from there, or [`crate::mail`] does.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use lettre::{
    Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType, MIME_VERSION_1_0},
    },
};
use sha2::{Digest as _, Sha256};
use torchmesh_runtime::config::Section;

use crate::{
    clock::now_ms,
    error::{Refusal, Result},
    ids,
    mail::SmtpSettings,
    secrets,
    store::Change,
};

/// The settings of letters: the table `mail`.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// `mail.outbox`: the folder that letters are written into. Default `outbox`, in the folder of the accounts.
    pub outbox: PathBuf,
    /// `mail.from`: who they are from. Default `torchmesh@localhost`.
    pub from: String,
    /// `mail.link`: what the token is put behind, for people to click on; `{purpose}` in it is `verify`, `reset` or `invite`. Default none: the letter has the token alone.
    pub link: Option<String>,
    /// `mail.smtp`: a server that they are delivered to. Default none: whatever else delivers mail takes them.
    pub smtp: Option<SmtpSettings>,
}

impl MailSettings {
    /// Reads the table.
    pub fn read(s: &mut Section, folder: &Path) -> Self {
        s.section("mail", |s| {
            let from = s.or("from", "torchmesh@localhost".to_owned());
            let smtp = SmtpSettings::read(s, &from);
            let outbox = s.optional("outbox").unwrap_or_else(|| folder.join("outbox"));
            let read = Self { outbox, from, link: s.optional("link"), smtp };
            s.check(super::address(&read.from).is_ok(), "from", "must be an address such as torchmesh@example.org");
            let link = read.link.as_deref().is_none_or(|link| link.starts_with("https://") || link.starts_with("http://"));
            s.check(link && !read.link.as_deref().unwrap_or_default().contains(char::is_whitespace), "link", "must begin with https://");
            read
        })
    }
}

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show that the address is its owner's.
    Verify,
    /// To set a new password.
    Reset,
    /// To join a tenant.
    Invite,
}

impl Purpose {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Invite => "invite",
        }
    }

    /// How long its token is good.
    fn good_for_ms(self) -> i64 {
        const HOUR: i64 = 3_600_000;
        match self {
            Self::Verify => 48 * HOUR,
            Self::Reset => HOUR,
            Self::Invite => 7 * 24 * HOUR,
        }
    }

    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Verify => ("Confirm your address", "Somebody, you we hope, has signed up with this address. This confirms it:"),
            Self::Reset => (
                "Set a new password",
                "This sets a new password. If you have not asked for it, throw this letter away; nothing has changed.",
            ),
            Self::Invite => ("You are invited", "You are invited to join a tenant. This sets your password, and you are in:"),
        }
    }
}

/// A token for a member's letter, kept as its hash.
pub(super) async fn token(change: &mut Change, member_id: &str, purpose: Purpose) -> Result<String> {
    let token = secrets::draw(Some("letter"))?.key;
    let row = sqlx::query("INSERT INTO letters (sha256, member_id, purpose, expires_ms) VALUES ($1, $2, $3, $4)");
    let row = row.bind(secrets::hash(&token)).bind(member_id.to_owned()).bind(purpose.as_str());
    row.bind(change.now() + purpose.good_for_ms()).execute(change.connection()).await?;
    Ok(token)
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Outbox(MailSettings);

impl Outbox {
    /// The folder of the settings, which is made if it is not there.
    pub fn open(settings: MailSettings) -> std::io::Result<Self> {
        fs::create_dir_all(&settings.outbox)?;
        Ok(Self(settings))
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.0.outbox
    }

    /// Sends a letter with a token.
    pub(super) async fn letter(&self, to: &str, purpose: Purpose, token: &str) -> Result<()> {
        let (subject, said) = purpose.text();
        let link = self
            .0
            .link
            .as_deref()
            .map_or_else(|| token.to_owned(), |link| format!("{}{token}", link.replace("{purpose}", purpose.as_str())));
        self.send(&ids::new(now_ms()), to, subject, &format!("{said}\r\n\r\n{link}\r\n")).await
    }

    /// Tells somebody who has signed up again that they are known.
    pub(super) async fn known_already(&self, to: &str) -> Result<()> {
        self.send(
            &ids::new(now_ms()),
            to,
            "You are known already",
            "Somebody has signed up with this address, which is known. You can sign in, or set a new password.\r\n",
        )
        .await
    }

    /// Tells somebody something, without a token. Of one occasion there is one letter: whoever was killed and tells of it again writes the same.
    pub(crate) async fn notice(&self, occasion: &str, to: &str, subject: &str, body: &str) -> Result<()> {
        let hash = Sha256::new().chain_update(occasion).chain_update([0]).chain_update(to).finalize();
        let id = hash.iter().take(16).fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
        self.send(&id, to, subject, body).await
    }

    /// A letter as it is sent: whatever its texts are, they do not become another header, and nothing in it is longer or of other bytes than mail may have.
    fn text(&self, id: &str, to: &str, subject: &str, body: &str) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
        let head = Message::builder().from(Mailbox::new(None, self.0.from.parse()?)).to(Mailbox::new(None, to.parse()?));
        let head =
            head.subject(subject).message_id(Some(format!("<{id}@torchmesh>"))).header(MIME_VERSION_1_0).header(ContentType::TEXT_PLAIN);
        // What can be sent as it is stands as it is, so that a link can be copied out of the file.
        let plain = |line: &str| line.len() <= 998 && !line.contains(['\r', '\n', '\0']);
        let body = if body.is_ascii() && body.split("\r\n").all(plain) {
            Body::dangerous_pre_encoded(body.as_bytes().to_vec(), ContentTransferEncoding::SevenBit)
        } else {
            Body::new(body.to_owned())
        };
        Ok(head.body(body)?.formatted())
    }

    async fn send(&self, id: &str, to: &str, subject: &str, body: &str) -> Result<()> {
        let (id, folder) = (id.to_owned(), self.0.outbox.clone());
        let text = self.text(&id, to, subject, body).map_err(|error| {
            tracing::error!(%error, "a letter cannot be written");
            Refusal::Fault
        })?;
        let written = tokio::task::spawn_blocking(move || {
            // Whole or not at all, and for nobody else to read: there is a token in it.
            let draft = folder.join(format!("{id}.draft"));
            let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, folder.join(format!("{id}.eml")))
        });
        let told = |error: &dyn std::fmt::Display| tracing::error!(%error, "a letter cannot be written");
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                told(&error);
                Err(Refusal::Fault)
            }
            Err(error) => {
                told(&error);
                Err(Refusal::Fault)
            }
        }
    }
}
