//! The keyring of Linux and its relatives: the Secret Service of freedesktop.org, on the session bus (GNOME Keyring,
//! `KWallet`, `KeePassXC`).

use std::collections::HashMap;

use futures::StreamExt as _;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::environment::Environment;
use crate::platform::keyring::KeyringError;
use crate::printable::Printable;
use crate::secret::Secret;

const DESTINATION: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const ITEM: &str = "org.freedesktop.Secret.Item";
const PROMPT: &str = "org.freedesktop.Secret.Prompt";

/// "No object" in the interfaces of the Secret Service: no prompt needed, no such alias.
const NOTHING: &str = "/";

/// Where the session bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    bus: String,
}

/// What an item is found by.
type Attributes<'a> = HashMap<&'static str, &'a str>;

impl Backend {
    /// The session bus as the D-Bus specification has it found: the variable, else the socket where systemd puts it. Never
    /// `dbus-launch`, which would start a bus that ends with nobody.
    pub(crate) fn find(environment: &Environment) -> Option<Self> {
        let of_systemd = || {
            let socket = environment.absolute_path("XDG_RUNTIME_DIR")?.join("bus");
            let path = socket.to_str()?;
            // The specification's escapes; what else a path may hold is not worth a keyring.
            let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte));
            plain.then(|| format!("unix:path={path}"))
        };
        let bus = environment.text("DBUS_SESSION_BUS_ADDRESS").or_else(of_systemd)?;
        // A list is tried in turn. `unixexec:` would start a program, and `autolaunch:` a bus.
        let bus = bus.split(';').find(|address| address.starts_with("unix:"))?.to_owned();
        Some(Self { bus })
    }

    /// The bus.
    pub(crate) fn address(&self) -> &str {
        &self.bus
    }

    pub(crate) fn get(
        &self,
        service: &'static str,
        account: &str,
        may_prompt: bool,
    ) -> Result<Option<Secret>, KeyringError> {
        block_on(async {
            let session = Session::open(&self.bus, may_prompt).await?;
            let attributes = attributes(service, account);
            let Some(item) = session.item(&attributes).await? else { return Ok(None) };
            let answer = session.call(item.as_ref(), ITEM, "GetSecret", &(&session.path,)).await?;
            let (_session, _parameters, value, _content_type): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) =
                answer.body().deserialize()?;
            let text =
                String::from_utf8(value).map_err(|_| KeyringError::Refused("that secret is no text".to_owned()))?;
            Ok(Some(Secret::from(text)))
        })
    }

    pub(crate) fn set(
        &self,
        service: &'static str,
        account: &str,
        secret: &Secret,
        may_prompt: bool,
    ) -> Result<(), KeyringError> {
        block_on(async {
            let session = Session::open(&self.bus, may_prompt).await?;
            let collection = session.default_collection().await?;
            let label = format!("{service}: {account}");
            let properties: HashMap<&str, Value<'_>> = HashMap::from([
                ("org.freedesktop.Secret.Item.Label", Value::from(label)),
                ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes(service, account))),
            ]);
            let secret = (&session.path, Vec::<u8>::new(), secret.expose().as_bytes(), "text/plain");
            let answer =
                session.call(collection.as_ref(), COLLECTION, "CreateItem", &(properties, secret, true)).await?;
            let (_item, prompt): (OwnedObjectPath, OwnedObjectPath) = answer.body().deserialize()?;
            session.completed(prompt).await
        })
    }

    pub(crate) fn delete(&self, service: &'static str, account: &str, may_prompt: bool) -> Result<(), KeyringError> {
        block_on(async {
            let session = Session::open(&self.bus, may_prompt).await?;
            let Some(item) = session.item(&attributes(service, account)).await? else { return Ok(()) };
            let answer = session.call(item.as_ref(), ITEM, "Delete", &()).await?;
            let prompt: OwnedObjectPath = answer.body().deserialize()?;
            session.completed(prompt).await
        })
    }
}

fn attributes<'a>(service: &'static str, account: &'a str) -> Attributes<'a> {
    HashMap::from([("service", service), ("account", account)])
}

/// An open session with the service.
struct Session {
    connection: Connection,
    path: OwnedObjectPath,
    may_prompt: bool,
}

impl Session {
    async fn open(bus: &str, may_prompt: bool) -> Result<Self, KeyringError> {
        let connection = zbus::connection::Builder::address(bus)?.build().await.map_err(|_| KeyringError::Absent)?;
        // "plain": the secret is not encrypted on its way through the bus. Whoever can listen on the bus of this person
        // can ask the service itself; a key agreement would hide nothing from them.
        let asked = ("plain", Value::from(""));
        let root = ObjectPath::from_static_str_unchecked(ROOT);
        let answer = connection.call_method(Some(DESTINATION), root, Some(SERVICE), "OpenSession", &asked).await?;
        let (_output, path): (OwnedValue, OwnedObjectPath) = answer.body().deserialize()?;
        Ok(Self { connection, path, may_prompt })
    }

    async fn call<B>(
        &self,
        object: ObjectPath<'_>,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, KeyringError>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        Ok(self.connection.call_method(Some(DESTINATION), object, Some(interface), method, body).await?)
    }

    /// The item, unlocked.
    async fn item(&self, attributes: &Attributes<'_>) -> Result<Option<OwnedObjectPath>, KeyringError> {
        let root = ObjectPath::from_static_str_unchecked(ROOT);
        let answer = self.call(root, SERVICE, "SearchItems", &(attributes,)).await?;
        let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = answer.body().deserialize()?;
        if let Some(item) = unlocked.into_iter().next() {
            return Ok(Some(item));
        }
        let Some(item) = locked.into_iter().next() else { return Ok(None) };
        self.unlock(&item).await?;
        Ok(Some(item))
    }

    /// Where new items go, unlocked.
    async fn default_collection(&self) -> Result<OwnedObjectPath, KeyringError> {
        let root = ObjectPath::from_static_str_unchecked(ROOT);
        let answer = self.call(root, SERVICE, "ReadAlias", &("default",)).await?;
        let collection: OwnedObjectPath = answer.body().deserialize()?;
        if collection.as_str() == NOTHING {
            // Nobody has ever opened a keyring here.
            return Err(KeyringError::Locked);
        }
        let asked = (COLLECTION, "Locked");
        let answer = self.call(collection.as_ref(), "org.freedesktop.DBus.Properties", "Get", &asked).await?;
        let locked: OwnedValue = answer.body().deserialize()?;
        if bool::try_from(&locked).unwrap_or(true) {
            self.unlock(&collection).await?;
        }
        Ok(collection)
    }

    async fn unlock(&self, object: &OwnedObjectPath) -> Result<(), KeyringError> {
        let root = ObjectPath::from_static_str_unchecked(ROOT);
        let answer = self.call(root, SERVICE, "Unlock", &(vec![object.as_ref()],)).await?;
        let (_unlocked, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = answer.body().deserialize()?;
        self.completed(prompt).await
    }

    /// Waits for the person, if one is needed and may be asked.
    async fn completed(&self, prompt: OwnedObjectPath) -> Result<(), KeyringError> {
        if prompt.as_str() == NOTHING {
            return Ok(());
        }
        if !self.may_prompt {
            return Err(KeyringError::Locked);
        }
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(PROMPT)?
            .member("Completed")?
            .path(prompt.as_ref())?
            .build();
        // Before the question: the answer may come at once.
        let mut answers = MessageStream::for_match_rule(rule, &self.connection, Some(1)).await?;
        self.call(prompt.as_ref(), PROMPT, "Prompt", &("",)).await?;
        let answer = answers.next().await.ok_or(KeyringError::Absent)??;
        let (dismissed, _result): (bool, OwnedValue) = answer.body().deserialize()?;
        if dismissed { Err(KeyringError::Locked) } else { Ok(()) }
    }
}

/// In a runtime of this thread's own: the caller's may be waiting for us.
fn block_on<T>(question: impl Future<Output = Result<T, KeyringError>>) -> Result<T, KeyringError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| KeyringError::Refused(error.to_string()))?.block_on(question)
}

impl From<zbus::Error> for KeyringError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, words, _) => match name.as_str() {
                "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                    Self::Absent
                }
                spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn.") => Self::Absent,
                "org.freedesktop.Secret.Error.IsLocked" => Self::Locked,
                name => Self::Refused(Printable(&words.unwrap_or_else(|| name.to_owned())).to_string()),
            },
            zbus::Error::InputOutput(_) => Self::Absent,
            other => Self::Refused(Printable(&other.to_string()).to_string()),
        }
    }
}

impl From<zbus::zvariant::Error> for KeyringError {
    fn from(error: zbus::zvariant::Error) -> Self {
        Self::Refused(Printable(&error.to_string()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn found(table: &[(&'static str, &'static str)]) -> Option<String> {
        let environment = Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>());
        Backend::find(&environment).map(|backend| backend.bus)
    }

    #[test]
    fn only_a_bus_that_is_there_is_asked() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/b")]), Some("unix:path=/b".to_owned()));
        assert_eq!(found(&[("DBUS_SESSION_BUS_ADDRESS", "unixexec:path=/bin/sh")]), None, "a program to run");
        let list = "unixexec:path=/bin/a;unix:path=/b;unixexec:path=/bin/sh";
        assert_eq!(found(&[("DBUS_SESSION_BUS_ADDRESS", list)]), Some("unix:path=/b".to_owned()));
        assert_eq!(found(&[("DBUS_SESSION_BUS_ADDRESS", "autolaunch:")]), None);
        assert_eq!(found(&[("XDG_RUNTIME_DIR", "/run/user/7")]), Some("unix:path=/run/user/7/bus".to_owned()));
        assert_eq!(found(&[("XDG_RUNTIME_DIR", "/run/user/a,b")]), None, "would be read as two settings");
    }
}
