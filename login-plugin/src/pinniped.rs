//! Pinniped's CLI as its users' kubeconfigs know it: its flags, its answer, and the two files in which it keeps things.

mod answer;
mod arguments;
mod credentials;
mod document;
mod exec_info;
pub(crate) mod flags;
mod kept;
mod sessions;

pub(crate) use self::answer::{Expires, answer};
pub(crate) use self::arguments::{By, Command, Concierge, Login, OidcLogin, Output, StaticLogin, Whoami, parse, words};
pub(crate) use self::credentials::{CredentialFile, CredentialKey};
pub(crate) use self::flags::FlagError;
pub(crate) use self::kept::Kept;
pub(crate) use self::sessions::{SessionFile, SessionKey, Wanted};
