//! What counts as personal data: what its form alone tells, and people's names.

use torchmesh_runtime::config::FromSetting;

/// One kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// An account's number (IBAN).
    Iban,
    /// A social security number of the United States.
    UsSsn,
    /// A resident identity number of China.
    CnId,
    /// A taxpayer's number of Brazil (CPF).
    BrCpf,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A person's name, which a model has to tell.
    Name,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::UsSsn, Self::CnId, Self::BrCpf, Self::Ip, Self::Name];

    /// Its word in settings, headers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::CnId => "cn_id",
            Self::BrCpf => "br_cpf",
            Self::Ip => "ip",
            Self::Name => "name",
        }
    }

    /// Its word in placeholders.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::UsSsn => "US_SSN",
            Self::CnId => "CN_ID",
            Self::BrCpf => "BR_CPF",
            Self::Ip => "IP",
            Self::Name => "NAME",
        }
    }

    /// What it is, for a caller to read.
    pub fn described(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::Phone => "a phone number",
            Self::Card => "a payment card's number",
            Self::Iban => "an account's number (IBAN)",
            Self::UsSsn => "a social security number",
            Self::CnId => "a resident identity number",
            Self::BrCpf => "a taxpayer's number (CPF)",
            Self::Ip => "an IP address",
            Self::Name => "a person's name",
        }
    }
}

impl FromSetting for Kind {
    const EXPECTED: &'static str = "\"email\", \"phone\", \"card\", \"iban\", \"us_ssn\", \"cn_id\", \"br_cpf\" or \"ip\"";

    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        // Names are looked for where `names` says by whom.
        let mut by_form = Self::ALL.into_iter().filter(|kind| *kind != Self::Name);
        let named = by_form.find(|kind| value.as_str() == Some(kind.word()));
        named.ok_or_else(|| format!("must be {}, not {value}", Self::EXPECTED))
    }
}

/// Some of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// Those that are looked for unless it is said which: all but [`Kind::Ip`], which versions and code look like.
    pub fn usual() -> Self {
        Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Ip | Kind::Name)).collect()
    }

    /// Whether this one is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | (1 << kind as u8)))
    }
}

/// How many values of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u32; Kind::ALL.len()]);

impl Counts {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> u32 {
        self.0[kind as usize]
    }

    /// One more.
    pub fn add(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// The kinds of which there is any, with how many.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u32)> {
        Kind::ALL.into_iter().zip(self.0).filter(|&(_, count)| count > 0)
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(all, more)| *all += more);
    }
}
