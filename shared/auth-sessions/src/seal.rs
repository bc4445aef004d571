//! AES-256-GCM over the tokens of a session. The additional data binds the ciphertext to its row: key, version and
//! expiry.

use auth::{DenyReason, Secret, UnixSeconds};
use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::error::Unspecified;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{BrowserSession, RowKey, SealedSession, SealingKeys};

/// The format of the additional data and the plaintext. Another format needs another one.
const FORMAT: &[u8] = b"gatehouse browser session 1\0";
const TAG_BYTES: usize = 16;

#[derive(Serialize)]
struct Plain<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

#[derive(Deserialize)]
struct Opened {
    access_token: Secret,
    refresh_token: Option<Secret>,
}

/// The additional data. All parts but the last have a fixed length, so no two rows have the same.
fn additional(key: &RowKey, version: u64, expires_at: UnixSeconds, key_id: &str) -> Aad<Vec<u8>> {
    let mut data = FORMAT.to_vec();
    data.extend_from_slice(&version.to_be_bytes());
    data.extend_from_slice(&expires_at.0.to_be_bytes());
    // 43 characters.
    data.extend_from_slice(key.as_str().as_bytes());
    data.extend_from_slice(key_id.as_bytes());
    Aad::from(data)
}

/// Seals `session` for the row `key`.
///
/// # Errors
/// The library failed.
pub(crate) fn seal(
    keys: &SealingKeys,
    key: &RowKey,
    version: u64,
    session: &BrowserSession,
) -> Result<SealedSession, Unspecified> {
    let (key_id, sealing) = keys.sealing().ok_or(Unspecified)?;
    let plain = Plain {
        access_token: session.access_token.expose(),
        refresh_token: session.refresh_token.as_ref().map(Secret::expose),
    };
    // Large enough for the tokens, which have no characters that JSON escapes: a growing buffer would leave copies.
    let length =
        plain.access_token.len() + plain.refresh_token.map_or(0, str::len) + 64 + TAG_BYTES;
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    serde_json::to_writer(&mut *text, &plain).map_err(|_| Unspecified)?;
    let bound = additional(key, version, session.expires_at, key_id);
    let nonce = sealing.seal_in_place_append_tag(bound, &mut *text)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.extend_from_slice(&text);
    Ok(SealedSession {
        version,
        expires_at: session.expires_at,
        key_id: key_id.to_owned(),
        sealed,
    })
}

/// Opens the row `key`.
///
/// # Errors
/// [`DenyReason::UnreadableRevocation`] if its key was withdrawn, or it is not a row that Gatehouse sealed for this key.
pub(crate) fn open(
    keys: &SealingKeys,
    key: &RowKey,
    row: &SealedSession,
) -> Result<BrowserSession, DenyReason> {
    const UNREADABLE: DenyReason = DenyReason::UnreadableRevocation;
    let opening = keys.get(&row.key_id).ok_or(UNREADABLE)?;
    let (nonce, sealed) = row.sealed.split_at_checked(NONCE_LEN).ok_or(UNREADABLE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UNREADABLE)?;
    let bound = additional(key, row.version, row.expires_at, &row.key_id);
    let mut text = Zeroizing::new(sealed.to_vec());
    let opened = opening.open_in_place(nonce, bound, &mut text);
    let opened = opened.map_err(|_| UNREADABLE)?;
    let opened: Opened = serde_json::from_slice(opened).map_err(|_| UNREADABLE)?;
    Ok(BrowserSession {
        access_token: opened.access_token,
        refresh_token: opened.refresh_token,
        expires_at: row.expires_at,
    })
}
