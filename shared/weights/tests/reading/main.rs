//! Published models, read: what is right is read alike from every form, and what is wrong is refused by the name of its file and of its tensor or key.

mod checkpoints;
mod directories;
mod gguf;
mod gguf_damaged;
mod made;
mod published;
mod words;
