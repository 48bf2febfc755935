//! Where a model's tokenizer comes from: its `tokenizer.json`, or in a directory that has none, the vocabulary, put together as transformers does it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{
    AddedToken, Tokenizer,
    decoders::{byte_level::ByteLevel, wordpiece::WordPiece as Pieces},
    models::{bpe::BPE, wordpiece::WordPiece},
    normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
    processors::{roberta::RobertaProcessing, template::TemplateProcessing},
};

use super::Tokeniser;

const TOKENIZER: &str = "tokenizer.json";
/// A vocabulary of word pieces, one a line.
const PIECES: &str = "vocab.txt";
/// A vocabulary of pairs of bytes, and in which order they were joined.
const PAIRS: [&str; 2] = ["vocab.json", "merges.txt"];
/// What makes a `tokenizer.json` of everything that transformers reads.
const REMEDY: &str = "this makes a tokenizer.json, run in the model's directory: \
    python3 -c \"from transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\"";

/// The tokenizer called `file` of the first of `folders` that has it, or one that is made of the first vocabulary. The error is for the
/// repository index.
pub(crate) fn tokeniser(folders: &[&Path], file: &str, max_tokens: usize) -> Result<Tokeniser, String> {
    if let Some(found) = folders.iter().map(|folder| folder.join(file)).find(|file| file.is_file()) {
        return Tokeniser::load(&found, max_tokens);
    }
    if file != TOKENIZER {
        return Err(format!("{file} is missing"));
    }
    match folders.iter().find_map(|folder| Vocabulary::find(folder)) {
        Some(vocabulary) => Tokeniser::new(vocabulary.tokenizer().map_err(|reason| format!("{reason}; {REMEDY}"))?, max_tokens),
        None => Err(format!("{TOKENIZER} is missing, and so is a {PIECES}, or a {} with {}; {REMEDY}", PAIRS[0], PAIRS[1])),
    }
}

/// A vocabulary and what the files beside it say.
struct Vocabulary {
    folder: PathBuf,
    kind: Kind,
    /// `tokenizer_config.json` and `special_tokens_map.json`, the first to be asked first.
    said: [Value; 2],
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    /// BERT and what reads as it does.
    Bert,
    /// The words of BERT between the special tokens of RoBERTa.
    MpNet,
    /// Pairs of bytes.
    Roberta,
}

/// The special tokens: what they are called in the files, and by default in the kinds' vocabularies.
const SPECIAL: [(&str, [&str; 3]); 5] = [
    ("cls_token", ["[CLS]", "<s>", "<s>"]),
    ("sep_token", ["[SEP]", "</s>", "</s>"]),
    ("unk_token", ["[UNK]", "[UNK]", "<unk>"]),
    ("pad_token", ["[PAD]", "<pad>", "<pad>"]),
    ("mask_token", ["[MASK]", "<mask>", "<mask>"]),
];

impl Vocabulary {
    fn find(folder: &Path) -> Option<Self> {
        let said = ["tokenizer_config.json", "special_tokens_map.json"].map(|name| json(folder, name).unwrap_or_default());
        let has = |name: &str| folder.join(name).is_file();
        let kind = if has(PIECES) {
            let class = said[0]["tokenizer_class"].as_str().unwrap_or_default();
            let family = json(folder, "config.json").unwrap_or_default();
            if class.starts_with("MPNet") || family["model_type"] == "mpnet" { Kind::MpNet } else { Kind::Bert }
        } else if PAIRS.iter().all(|name| has(name)) {
            Kind::Roberta
        } else {
            return None;
        };
        Some(Self { folder: folder.to_owned(), kind, said })
    }

    fn tokenizer(&self) -> Result<Tokenizer, String> {
        let mut tokenizer = match self.kind {
            Kind::Bert | Kind::MpNet => self.word_pieces(),
            Kind::Roberta => self.byte_pairs(),
        }?;
        let [cls, sep] = ["cls_token", "sep_token"].map(|key| self.special(key, &tokenizer));
        let (cls, sep) = (cls?, sep?);
        if self.kind == Kind::Roberta {
            let prefix = self.flag("add_prefix_space").unwrap_or(false);
            tokenizer.with_post_processor(Some(RobertaProcessing::new(sep, cls).add_prefix_space(prefix)));
        } else {
            let ends = if self.kind == Kind::MpNet { format!("{0}:0 {0}:0", sep.0) } else { format!("{}:0", sep.0) };
            let template = TemplateProcessing::builder()
                .try_single(format!("{}:0 $A:0 {}:0", cls.0, sep.0))
                .and_then(|template| template.try_pair(format!("{}:0 $A:0 {ends} $B:1 {}:1", cls.0, sep.0)))
                .and_then(|template| template.special_tokens(vec![cls, sep]).build().map_err(|error| error.to_string()))?;
            tokenizer.with_post_processor(Some(template));
        }
        let added = self.added(&tokenizer)?;
        tokenizer.add_tokens(&added);
        Ok(tokenizer)
    }

    fn word_pieces(&self) -> Result<Tokenizer, String> {
        let model = WordPiece::from_file(&self.path(PIECES)?).unk_token(self.name("unk_token")).build();
        let mut tokenizer = Tokenizer::new(model.map_err(|error| format!("{PIECES}: {error}"))?);
        let (chinese, lower) = (self.flag("tokenize_chinese_chars").unwrap_or(true), self.flag("do_lower_case").unwrap_or(true));
        tokenizer.with_normalizer(Some(BertNormalizer::new(true, chinese, self.flag("strip_accents"), lower)));
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_decoder(Some(Pieces::default()));
        self.special("unk_token", &tokenizer)?;
        Ok(tokenizer)
    }

    fn byte_pairs(&self) -> Result<Tokenizer, String> {
        let model = BPE::from_file(&self.path(PAIRS[0])?, &self.path(PAIRS[1])?).build();
        let mut tokenizer = Tokenizer::new(model.map_err(|error| format!("{} and {}: {error}", PAIRS[0], PAIRS[1]))?);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(self.flag("add_prefix_space").unwrap_or(false), true, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Ok(tokenizer)
    }

    fn path(&self, file: &str) -> Result<String, String> {
        self.folder.join(file).into_os_string().into_string().map_err(|_| format!("the path of {file} is not UTF-8"))
    }

    fn says(&self, key: &str) -> &Value {
        self.said.iter().map(|said| &said[key]).find(|value| !value.is_null()).unwrap_or(&Value::Null)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.says(key).as_bool()
    }

    /// What the special token `key` is called.
    fn name(&self, key: &str) -> String {
        let default = || SPECIAL.iter().find(|(special, _)| *special == key).map_or("", |(_, defaults)| defaults[self.kind as usize]);
        read(self.says(key)).map_or_else(|| default().to_owned(), |token| token.content)
    }

    fn special(&self, key: &str, tokenizer: &Tokenizer) -> Result<(String, u32), String> {
        let name = self.name(key);
        let file = if self.kind == Kind::Roberta { PAIRS[0] } else { PIECES };
        let id = tokenizer.token_to_id(&name).ok_or_else(|| format!("{file} has no token {name}, which is the {key}"))?;
        Ok((name, id))
    }

    /// The tokens that are found in a text before it is taken apart. Those beside the vocabulary are refused: what they are called in the weights is
    /// written in a `tokenizer.json` alone.
    fn added(&self, tokenizer: &Tokenizer) -> Result<Vec<AddedToken>, String> {
        let decoder = self.says("added_tokens_decoder").as_object().into_iter().flatten();
        let mut added: Vec<AddedToken> = decoder.filter_map(|(_, token)| read(token)).collect();
        let of_file = json(&self.folder, "added_tokens.json").unwrap_or_default();
        let of_file = of_file.as_object().into_iter().flatten().map(|(name, _)| AddedToken::from(name, false));
        let named = self.says("additional_special_tokens").as_array().into_iter().flatten().filter_map(read);
        let special = SPECIAL.iter().filter_map(|(key, _)| {
            let (name, _) = self.special(key, tokenizer).ok()?;
            // The mask of RoBERTa takes the blank before it along.
            let strips = *key == "mask_token" && self.kind != Kind::Bert;
            Some(read(self.says(key)).filter(|_| self.says(key).is_object()).unwrap_or_else(|| AddedToken::from(name, true).lstrip(strips)))
        });
        for token in special.chain(named).chain(of_file) {
            if !added.iter().any(|known| known.content == token.content) {
                added.push(token);
            }
        }
        match added.iter().find(|token| tokenizer.token_to_id(&token.content).is_none()) {
            Some(token) => Err(format!("the token {} is not in the vocabulary", token.content)),
            None => Ok(added),
        }
    }
}

/// A special token as the files write it: a text, or an object.
fn read(token: &Value) -> Option<AddedToken> {
    let is = |key: &str| token[key].as_bool();
    let name = token.as_str().or_else(|| token["content"].as_str())?;
    let read = AddedToken::from(name, is("special").unwrap_or(true)).lstrip(is("lstrip") == Some(true)).rstrip(is("rstrip") == Some(true));
    Some(read.single_word(is("single_word") == Some(true)).normalized(is("normalized") == Some(true)))
}

fn json(folder: &Path, name: &str) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join(name)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use serde::Deserialize;

    use super::*;
    use crate::{
        golden::{fetched, golden},
        manifest::Truncation,
        text::Source,
    };

    /// A directory of `tests/golden/directories.json`.
    #[derive(Deserialize)]
    struct Case {
        files: BTreeMap<String, String>,
        config: Value,
        texts: Vec<String>,
        ids: Vec<Vec<u32>>,
        pair: [String; 2],
        pair_ids: Vec<u32>,
        pair_types: Vec<u32>,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../../../tests/golden/directories.json")).unwrap()
    }

    fn folder(files: &BTreeMap<String, String>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    impl Case {
        fn folder(&self) -> tempfile::TempDir {
            let folder = folder(&self.files);
            fs::write(folder.path().join("config.json"), self.config.to_string()).unwrap();
            folder
        }
    }

    fn ids(tokeniser: &Tokeniser, text: &str) -> Vec<u32> {
        tokeniser.encode(&Source::Text(text.to_owned()), 0, Truncation::End, false).unwrap().windows.remove(0).ids
    }

    #[test]
    fn a_vocabulary_alone_makes_the_tokens_of_transformers() {
        for (at, case) in cases().iter().enumerate() {
            let folder = case.folder();
            let tokeniser = tokeniser(&[folder.path()], TOKENIZER, 128).unwrap();
            for (text, expected) in case.texts.iter().zip(&case.ids) {
                assert_eq!(&ids(&tokeniser, text), expected, "case {at}: {text:?}");
            }
            let pair = Source::Pair(case.pair[0].as_str().into(), case.pair[1].clone());
            let made = tokeniser.encode(&pair, 0, Truncation::End, false).unwrap().windows.remove(0);
            assert_eq!(made.ids, case.pair_ids, "case {at}");
            // Only BERT tells the texts of a pair apart.
            assert!(at >= 3 || made.types == case.pair_types, "case {at}: {:?}", made.types);
        }
    }

    #[test]
    fn the_vocabulary_of_minilm_makes_the_same_tokens_as_its_tokenizer() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
            fs::copy(fetched("all-MiniLM-L6-v2").join(file), folder.path().join(file)).unwrap();
        }
        let golden = golden();
        let tokeniser = tokeniser(&[folder.path()], TOKENIZER, golden.max_tokens).unwrap();
        for item in golden.items {
            let expected: Vec<u32> = item.input_ids.iter().map(|&id| u32::try_from(id).unwrap()).collect();
            assert_eq!(ids(&tokeniser, &item.text), expected, "{:?}", item.text);
        }
    }

    #[test]
    fn the_versions_files_come_before_the_models_and_a_tokenizer_before_a_vocabulary() {
        let (version, model) = (cases()[0].folder(), cases()[4].folder());
        let first = |folders: &[&Path]| tokeniser(folders, TOKENIZER, 16).unwrap().vocabulary();
        let [of_version, of_model] = [first(&[version.path()]), first(&[model.path()])];
        assert_ne!(of_version, of_model);
        assert_eq!(first(&[version.path(), model.path()]), of_version);
        fs::write(model.path().join(TOKENIZER), crate::text::TINY_TOKENIZER).unwrap();
        assert_eq!(first(&[version.path(), model.path()]), 14, "a tokenizer.json needs no putting together");
    }

    #[test]
    fn what_makes_no_tokenizer_is_refused_with_what_does() {
        let refused = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
            let mut files = cases()[0].files.clone();
            change(&mut files);
            let reason = tokeniser(&[folder(&files).path()], TOKENIZER, 16).unwrap_err();
            assert!(reason.contains("AutoTokenizer"), "{reason}");
            reason
        };
        let missing = refused(&|files| drop(files.remove("vocab.txt")));
        assert!(missing.starts_with("tokenizer.json is missing, and so is a vocab.txt"), "{missing}");
        let foreign = refused(&|files| drop(files.insert("vocab.txt".into(), "a\nb\n".into())));
        assert!(foreign.contains("vocab.txt has no token [UNK]"), "{foreign}");
        let added = refused(&|files| drop(files.insert("added_tokens.json".into(), r#"{"<user>": 130}"#.into())));
        assert!(added.contains("the token <user> is not in the vocabulary"), "{added}");
        let other = tokeniser(&[folder(&cases()[0].files).path()], "other.json", 16).unwrap_err();
        assert_eq!(other, "other.json is missing");
    }
}
