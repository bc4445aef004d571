//! Where a document of keys is kept: a file that its owner alone can read, or a secret of Secrets Manager.
//!
//! A change is made as a whole or not at all, and two changes at once never lose one of them: files are replaced
//! under a lock, secrets only if their current version is the one that was read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth::{Cause, Secret, UnixSeconds};
use auth_phantom::STORE_SECONDS;
use aws_client::{Limits, ServerDate, cause_of, with_limits};
use aws_sdk_secretsmanager::Client;
use clap::Args;
use tempfile::NamedTempFile;

/// For the calls of a person who waits.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(5),
    operation: Duration::from_secs(20),
    attempts: 4,
    first_backoff: Duration::from_millis(200),
};
/// The label of a version that is not yet current.
const NEXT: &str = "gatehouse-next";
const CURRENT: &str = "AWSCURRENT";
/// From the time that a change is given until the new document is complete but not yet published, at most. Then one
/// call, or the renaming of a file, publishes it.
const MAX_PREPARATION_SECONDS: u64 = 30;
const _: () = assert!(
    MAX_PREPARATION_SECONDS + LIMITS.operation.as_secs() < STORE_SECONDS,
    "a document must be published within the seconds that its keys allow for"
);
/// A secret holds 64 KB; a longer file is another one.
const MAX_BYTES: u64 = 64 * 1024;

/// The place of the keys.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct Place {
    /// The file of the keys.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The secret of the keys in Secrets Manager, by its name or ARN.
    #[arg(long)]
    secret: Option<String>,
}

impl Place {
    /// The store at this place, or `None` if no place was given.
    pub(crate) async fn store(self) -> Option<KeyStore> {
        match (self.file, self.secret) {
            (Some(path), _) => Some(KeyStore::File(path)),
            (None, Some(id)) => {
                let sdk = aws_client::sdk_config().await;
                let client = Client::new(&with_limits(&sdk, &LIMITS));
                Some(KeyStore::Secret { client, id })
            }
            (None, None) => None,
        }
    }
}

/// A document of keys at its place.
pub(crate) enum KeyStore {
    /// A file.
    File(PathBuf),
    /// A secret of Secrets Manager.
    Secret {
        /// The client.
        client: Client,
        /// Its name or ARN.
        id: String,
    },
}

impl KeyStore {
    /// Stores the first document. Never replaces one that exists.
    ///
    /// # Errors
    /// A text without a part of the document.
    pub(crate) async fn create(&self, document: &Secret) -> Result<(), String> {
        match self {
            Self::File(path) => create_file(path, document),
            Self::Secret { client, id } => {
                if id.starts_with("arn:") {
                    return Err("--secret takes the name of the new secret, not an ARN".to_owned());
                }
                let call = client
                    .create_secret()
                    .name(id)
                    .secret_string(document.expose());
                let answer = call.send().await;
                answer.map(drop).map_err(|error| {
                    let refused = error.as_service_error();
                    if refused.is_some_and(|error| error.is_resource_exists_exception()) {
                        format!("{id}: the secret exists already")
                    } else {
                        in_words(id, cause_of(&error))
                    }
                })
            }
        }
    }

    /// The document, and the time ([`KeyStore::time`]).
    ///
    /// # Errors
    /// A text without a part of the document.
    pub(crate) async fn read(&self) -> Result<(Secret, UnixSeconds), String> {
        match self {
            Self::File(path) => {
                let file = File::open(path).map_err(failed(path))?;
                Ok((read_file(path, &file)?, clock()))
            }
            Self::Secret { client, id } => {
                let current = read_secret(client, id).await?;
                Ok((current.document, current.time))
            }
        }
    }

    /// The time: Secrets Manager's, because an operator's clock may be wrong and a key would sign too early or too
    /// late by as much; for a file this computer's.
    ///
    /// # Errors
    /// A text.
    pub(crate) async fn time(&self) -> Result<UnixSeconds, String> {
        match self {
            Self::File(_) => Ok(clock()),
            Self::Secret { client, id } => {
                let date = ServerDate::default();
                let call = client.get_secret_value().secret_id(id).customize();
                let answer = call.interceptor(date.clone()).send().await;
                // The secret may not exist yet.
                match (seen(id, &date), answer) {
                    (Err(_), Err(error)) => Err(in_words(id, cause_of(&error))),
                    (time, _) => time,
                }
            }
        }
    }

    /// Replaces the document by what `change` makes of it at this time. The time is that of reading the document, after
    /// every wait for another change, and the new document is published less than [`STORE_SECONDS`] later or not at all.
    ///
    /// # Errors
    /// The text of `change`, or another without a part of the document. The document is unchanged then.
    pub(crate) async fn update<T>(
        &self,
        change: impl FnOnce(&Secret, UnixSeconds) -> Result<(Secret, T), String>,
    ) -> Result<T, String> {
        match self {
            Self::File(path) => update_file(path, change),
            Self::Secret { client, id } => {
                let current = read_secret(client, id).await?;
                let (document, result) = change(&current.document, current.time)?;
                replace_secret(client, id, &current, &document).await?;
                Ok(result)
            }
        }
    }
}

fn in_words(id: &str, cause: Cause) -> String {
    format!("{id}: Secrets Manager did not do it: {}", cause.as_str())
}

fn clock() -> UnixSeconds {
    UnixSeconds(runtime::clock::unix_seconds())
}

fn seen(id: &str, date: &ServerDate) -> Result<UnixSeconds, String> {
    let time = date.seen();
    time.ok_or_else(|| format!("{id}: the response of Secrets Manager has no time"))
}

/// Refuses to publish a document whose preparation took too long.
fn check_prepared(place: &str, since: UnixSeconds, now: UnixSeconds) -> Result<(), String> {
    if now <= since.plus(MAX_PREPARATION_SECONDS) {
        return Ok(());
    }
    Err(format!(
        "{place}: to store the keys took more than {MAX_PREPARATION_SECONDS} seconds: nothing was changed, run it again"
    ))
}

/// Neither the system's nor `tempfile`'s errors contain what was written.
fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn create_file(path: &Path, document: &Secret) -> Result<(), String> {
    let folder = folder_of(path);
    let file = written(folder, document).map_err(failed(path))?;
    file.persist_noclobber(path)
        .map_err(|error| failed(path)(error.error))?;
    synced(folder).map_err(failed(path))
}

fn update_file<T>(
    path: &Path,
    change: impl FnOnce(&Secret, UnixSeconds) -> Result<(Secret, T), String>,
) -> Result<T, String> {
    // The file that a symbolic link names, not the link, is replaced.
    let path = &path.canonicalize().map_err(failed(path))?;
    let folder = folder_of(path);
    let lock = File::open(folder).map_err(failed(folder))?;
    lock.lock().map_err(failed(folder))?;
    let old = File::open(path).map_err(failed(path))?;
    let metadata = old.metadata().map_err(failed(path))?;
    if metadata.mode() & 0o007 != 0 {
        let path = path.display();
        return Err(format!(
            "{path}: every user may access the keys: `chmod o= {path}` first"
        ));
    }
    // Not before the lock, for which any other process may make this one wait.
    let time = clock();
    let (document, result) = change(&read_file(path, &old)?, time)?;
    let prepare = || {
        let file = written(folder, &document)?;
        // The service that reads the file must still be able to.
        fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
        let mode = PermissionsExt::from_mode(metadata.mode() & 0o660);
        file.as_file().set_permissions(mode)?;
        Ok(file)
    };
    let file = prepare().map_err(failed(path))?;
    check_prepared(&path.display().to_string(), time, clock())?;
    let replaced = file.persist(path).map_err(|error| error.error);
    replaced
        .and_then(|_| synced(folder))
        .map_err(failed(path))?;
    Ok(result)
}

/// A complete file beside the one to replace, mode 0600.
fn written(folder: &Path, document: &Secret) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".gatehouse-")
        .tempfile_in(folder)?;
    file.write_all(document.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A new name in a folder survives a crash only after this.
fn synced(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read_file(path: &Path, file: &File) -> Result<Secret, String> {
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(failed(path))?;
    Ok(Secret::new(text))
}

/// A version of a secret.
struct Version {
    document: Secret,
    version: String,
    /// When it was the current one.
    time: UnixSeconds,
}

async fn read_secret(client: &Client, id: &str) -> Result<Version, String> {
    let date = ServerDate::default();
    let call = client.get_secret_value().secret_id(id).customize();
    let answer = call.interceptor(date.clone()).send().await;
    let answer = answer.map_err(|error| in_words(id, cause_of(&error)))?;
    let time = seen(id, &date)?;
    match (answer.secret_string, answer.version_id) {
        (Some(text), Some(version)) => Ok(Version {
            document: Secret::new(text),
            version,
            time,
        }),
        _ => Err(format!("{id}: the secret is not text")),
    }
}

/// Adds a version, and makes it the current one if `old` still is.
async fn replace_secret(
    client: &Client,
    id: &str,
    old: &Version,
    document: &Secret,
) -> Result<(), String> {
    let put = client
        .put_secret_value()
        .secret_id(id)
        .secret_string(document.expose())
        .version_stages(NEXT);
    let date = ServerDate::default();
    let answer = put.customize().interceptor(date.clone()).send().await;
    let answer = answer.map_err(|error| in_words(id, cause_of(&error)))?;
    check_prepared(id, old.time, seen(id, &date)?)?;
    let new = answer
        .version_id
        .ok_or_else(|| in_words(id, Cause::Invalid))?;
    // The call fails if the label is on another version than `old`.
    let moved = client
        .update_secret_version_stage()
        .secret_id(id)
        .version_stage(CURRENT)
        .move_to_version_id(&new)
        .remove_from_version_id(&old.version);
    let Err(error) = moved.send().await else {
        return Ok(());
    };
    let refused = error.as_service_error();
    if !refused.is_some_and(|error| error.is_invalid_parameter_exception()) {
        return Err(in_words(id, cause_of(&error)));
    }
    // Also the answer to a second attempt, if only the answer to the first one was lost.
    if read_secret(client, id).await?.version == new {
        return Ok(());
    }
    Err(format!(
        "{id}: the secret was changed meanwhile, and not by this command: run it again"
    ))
}
