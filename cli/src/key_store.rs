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
                let sdk = aws_config::load_from_env().await;
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

    /// The document.
    ///
    /// # Errors
    /// A text without a part of the document.
    pub(crate) async fn read(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => {
                let file = File::open(path).map_err(failed(path))?;
                read_file(path, &file)
            }
            Self::Secret { client, id } => Ok(read_secret(client, id).await?.document),
        }
    }

    /// The time: Secrets Manager's, because an operator's clock may be wrong and a key would sign too early or too
    /// late by as much; for a file this computer's.
    ///
    /// # Errors
    /// A text.
    pub(crate) async fn time(&self) -> Result<UnixSeconds, String> {
        match self {
            Self::File(_) => Ok(UnixSeconds(runtime::clock::unix_seconds())),
            Self::Secret { client, id } => {
                let date = ServerDate::default();
                let call = client.get_secret_value().secret_id(id).customize();
                let answer = call.interceptor(date.clone()).send().await;
                // The secret may not exist yet.
                date.seen().ok_or_else(|| match answer {
                    Ok(_) => format!("{id}: the response of Secrets Manager has no time"),
                    Err(error) => in_words(id, cause_of(&error)),
                })
            }
        }
    }

    /// Replaces the document by what `change` makes of it.
    ///
    /// # Errors
    /// The text of `change`, or another without a part of the document. The document is unchanged then.
    pub(crate) async fn update<T>(
        &self,
        change: impl FnOnce(&Secret) -> Result<(Secret, T), String>,
    ) -> Result<T, String> {
        match self {
            Self::File(path) => update_file(path, change),
            Self::Secret { client, id } => {
                let current = read_secret(client, id).await?;
                let (document, result) = change(&current.document)?;
                replace_secret(client, id, &current.version, &document).await?;
                Ok(result)
            }
        }
    }
}

fn in_words(id: &str, cause: Cause) -> String {
    format!("{id}: Secrets Manager did not do it: {}", cause.as_str())
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
    change: impl FnOnce(&Secret) -> Result<(Secret, T), String>,
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
    let (document, result) = change(&read_file(path, &old)?)?;
    let replace = || {
        let file = written(folder, &document)?;
        // The service that reads the file must still be able to.
        fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
        let mode = PermissionsExt::from_mode(metadata.mode() & 0o660);
        file.as_file().set_permissions(mode)?;
        file.persist(path).map_err(|error| error.error)?;
        synced(folder)
    };
    replace().map_err(failed(path))?;
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
}

async fn read_secret(client: &Client, id: &str) -> Result<Version, String> {
    let answer = client.get_secret_value().secret_id(id).send().await;
    let answer = answer.map_err(|error| in_words(id, cause_of(&error)))?;
    match (answer.secret_string, answer.version_id) {
        (Some(text), Some(version)) => Ok(Version {
            document: Secret::new(text),
            version,
        }),
        _ => Err(format!("{id}: the secret is not text")),
    }
}

/// Adds a version, and makes it the current one if `old` still is.
async fn replace_secret(
    client: &Client,
    id: &str,
    old: &str,
    document: &Secret,
) -> Result<(), String> {
    let put = client
        .put_secret_value()
        .secret_id(id)
        .secret_string(document.expose())
        .version_stages(NEXT);
    let answer = put.send().await;
    let answer = answer.map_err(|error| in_words(id, cause_of(&error)))?;
    let new = answer
        .version_id
        .ok_or_else(|| in_words(id, Cause::Invalid))?;
    // The call fails if the label is on another version than `old`.
    let moved = client
        .update_secret_version_stage()
        .secret_id(id)
        .version_stage(CURRENT)
        .move_to_version_id(&new)
        .remove_from_version_id(old);
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
