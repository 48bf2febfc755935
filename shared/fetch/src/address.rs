//! The address of a source.

use std::fmt;

use reqwest::Url;

/// What is offered where an address cannot be read.
const EXPECTED: &str = "hf://ORG/NAME@REVISION, s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER, or an https:// address of a file or (with / at its end) of a folder";

/// Where a version's files are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A repository of a Hugging Face hub.
    Hub {
        /// `ORG/NAME`, or `NAME` alone.
        repository: String,
        /// A branch, a tag or a commit. Default `main`.
        revision: String,
    },
    /// A folder of an object store.
    Objects(Url),
    /// A file of a web server, or a folder of one (the path ends in `/`).
    Web(Url),
}

impl Address {
    /// Reads an address. The error says what one looks like.
    ///
    /// An address that holds a password or a query is refused: addresses are logged and written into lock files.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("hf://") {
            return hub(rest);
        }
        let url = Url::parse(text).map_err(|_| format!("must be {EXPECTED}"))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "must not hold a user, a password, a query or a fragment: it is logged; credentials come from the environment".to_owned()
            );
        }
        let named = url.host_str().is_some_and(|host| !host.is_empty());
        match url.scheme() {
            "s3" | "gs" | "az" if named => Ok(Self::Objects(url)),
            "http" | "https" if named => Ok(Self::Web(url)),
            _ => Err(format!("must be {EXPECTED}")),
        }
    }
}

fn hub(rest: &str) -> Result<Address, String> {
    let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
    let part = |part: &str| {
        let plain = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        plain && !part.is_empty() && part.len() <= 128 && !part.starts_with('.')
    };
    let good = repository.split('/').count() <= 2 && repository.split('/').all(part);
    let revision_good = !revision.is_empty() && revision.len() <= 256 && revision.split('/').all(part);
    if good && revision_good {
        return Ok(Address::Hub { repository: repository.to_owned(), revision: revision.to_owned() });
    }
    Err("must be hf://ORG/NAME@REVISION, the revision a branch, a tag or a commit".to_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repository, revision } => write!(f, "hf://{repository}@{revision}"),
            Self::Objects(url) | Self::Web(url) => f.write_str(url.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_is_read() {
        for text in [
            "hf://org/name@v1.0",
            "hf://gpt2@refs/pr/1",
            "s3://bucket/a/b",
            "gs://bucket/a",
            "az://box/a",
            "https://host:8443/m/model.pt",
            "http://host/m/",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("hf://org/name").unwrap().to_string(), "hf://org/name@main");
    }

    #[test]
    fn what_is_not_an_address_is_told_what_one_is() {
        for bad in
            ["", "minilm", "ftp://host/x", "s3://", "file:///etc/passwd", "hf://", "hf://a/b/c", "hf://../x", "hf://a/b@", "hf://a/b@../x"]
        {
            assert!(Address::parse(bad).unwrap_err().contains("hf://ORG/NAME"), "{bad}");
        }
    }

    #[test]
    fn an_address_with_a_secret_in_it_is_refused_and_not_repeated() {
        for bad in ["https://me:hunter2@host/x", "https://host/x?X-Amz-Signature=hunter2", "s3://b/x#hunter2"] {
            let error = Address::parse(bad).unwrap_err();
            assert!(error.contains("environment") && !error.contains("hunter2"), "{error}");
        }
    }
}
