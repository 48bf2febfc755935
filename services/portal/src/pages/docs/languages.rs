//! The clients that there is code for: other people's, as they are.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `curl`.
    Curl,
    /// `openai` of Python.
    Python,
    /// `openai` of npm.
    TypeScript,
    /// `reqwest`.
    Rust,
    /// `net/http`.
    Go,
}

/// The places of a template that are filled.
fn filled(template: &str, gateway: &str, model: &str) -> String {
    template.trim_start_matches('\n').replace("GATEWAY", gateway).replace("MODEL", model)
}

impl Client {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Curl, Self::Python, Self::TypeScript, Self::Rust, Self::Go];

    /// As addresses have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::Rust => "rust",
            Self::Go => "go",
        }
    }

    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Python => "Python",
            Self::TypeScript => "TypeScript",
            Self::Rust => "Rust",
            Self::Go => "Go",
        }
    }

    /// The one of an address.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.as_str() == word)
    }

    /// What is installed first, where anything is.
    pub fn setup(self) -> Option<&'static str> {
        match self {
            Self::Curl | Self::Go => None,
            Self::Python => Some("pip install openai requests"),
            Self::TypeScript => Some("npm install openai"),
            Self::Rust => Some("cargo add reqwest --features blocking,json\ncargo add serde_json"),
        }
    }

    /// A chat; streamed, where that is a line.
    pub fn chat(self, gateway: &str, model: &str) -> String {
        filled(
            match self {
                Self::Curl => include_str!("code/chat.sh"),
                Self::Python => include_str!("code/chat.py"),
                Self::TypeScript => include_str!("code/chat.ts"),
                Self::Rust => include_str!("code/chat.rs.txt"),
                Self::Go => include_str!("code/chat.go"),
            },
            gateway,
            model,
        )
    }

    /// A text as a vector.
    pub fn embed(self, gateway: &str, model: &str) -> String {
        filled(
            match self {
                Self::Curl => include_str!("code/embed.sh"),
                Self::Python => include_str!("code/embed.py"),
                Self::TypeScript => include_str!("code/embed.ts"),
                Self::Rust => include_str!("code/embed.rs.txt"),
                Self::Go => include_str!("code/embed.go"),
            },
            gateway,
            model,
        )
    }

    /// A text for a model of any other task.
    pub fn task(self, gateway: &str, model: &str) -> String {
        filled(
            match self {
                Self::Curl => include_str!("code/task.sh"),
                Self::Python => include_str!("code/task.py"),
                Self::TypeScript => include_str!("code/task.ts"),
                Self::Rust => include_str!("code/task.rs.txt"),
                Self::Go => include_str!("code/task.go"),
            },
            gateway,
            model,
        )
    }
}
