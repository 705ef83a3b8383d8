//! Users, and what they are granted.

use std::fmt;

use tandem_seglog::Sequence;

use crate::catalog::Catalog;
use crate::entry::{self, Kind};
use crate::error::CatalogError;
use crate::record::Op;
use crate::wire::{Malformed, Reader, put_str};

/// A user. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Unique.
    pub name: String,
    /// Of the password; the catalog does not know how it is made.
    pub hash: String,
    /// May do everything.
    pub admin: bool,
    /// The number of the operation that made the user.
    created: Sequence,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// What a user is granted on a database. A later grant takes the place of an earlier one, as in InfluxDB: WRITE
/// after READ leaves WRITE alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Granted {
    /// Nothing; what a REVOKE leaves.
    Nothing = 0,
    /// READ
    Read = 1,
    /// WRITE
    Write = 2,
    /// ALL
    All = 3,
}

impl Granted {
    /// May read.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::All)
    }

    /// May write.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::All)
    }

    /// What is left when `taken` is revoked.
    #[must_use]
    pub const fn without(self, taken: Self) -> Self {
        Self::from_bits(self as u8 & !(taken as u8))
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Nothing,
            1 => Self::Read,
            2 => Self::Write,
            _ => Self::All,
        }
    }
}

impl fmt::Display for Granted {
    /// As `SHOW GRANTS` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "NO PRIVILEGES",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::All => "ALL PRIVILEGES",
        })
    }
}

impl User {
    fn key(&self) -> Vec<u8> {
        Kind::User.key(&[&self.name])
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = self.created.to_le_bytes().to_vec();
        value.push(u8::from(self.admin));
        put_str(&mut value, &self.hash);
        value
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        let [name] = entry::names(key)?[..] else {
            return Err(Malformed);
        };
        let mut reader = Reader::new(value);
        let created = reader.u64()?;
        let admin = reader.u8()? == 1;
        let hash = reader.str()?.to_owned();
        reader.end()?;
        Ok(Self {
            name: name.to_owned(),
            hash,
            admin,
            created,
        })
    }
}

impl Catalog {
    /// Makes a user.
    ///
    /// # Errors
    /// [`CatalogError::NameRequired`], [`CatalogError::UserExists`], and what an operation gives.
    pub fn create_user(&self, name: &str, hash: &str, admin: bool) -> Result<(), CatalogError> {
        if name.is_empty() {
            return Err(CatalogError::NameRequired);
        }
        self.check_name("a user name", name)?;
        self.check_text("a password hash", hash.len())?;
        let mut writer = self.writer();
        if self.user(name)?.is_some() {
            return Err(CatalogError::UserExists);
        }
        let user = User {
            name: name.to_owned(),
            hash: hash.to_owned(),
            admin,
            created: self.next(&writer),
        };
        let mut op = Op::default();
        op.put(user.key(), user.encode());
        self.commit(&mut writer, &op)
    }

    /// Removes a user and all that is granted to it.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and what an operation gives.
    pub fn drop_user(&self, name: &str) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let user = self.existing_user(name)?;
        let mut op = Op::default();
        op.remove(user.key());
        for entry in self.view()?.scan(&Kind::Grant.key(&[name]))? {
            op.remove(entry?.0.to_vec());
        }
        self.commit(&mut writer, &op)
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and what an operation gives.
    pub fn set_password_hash(&self, name: &str, hash: &str) -> Result<(), CatalogError> {
        self.check_text("a password hash", hash.len())?;
        self.change_user(name, |user| hash.clone_into(&mut user.hash))
    }

    /// Lets a user do everything, or only what it is granted.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and what an operation gives.
    pub fn set_admin(&self, name: &str, admin: bool) -> Result<(), CatalogError> {
        self.change_user(name, |user| user.admin = admin)
    }

    /// The user of this name.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn user(&self, name: &str) -> Result<Option<User>, CatalogError> {
        let view = self.view()?;
        let key = Kind::User.key(&[name]);
        let Some(value) = view.get(&key)? else {
            return Ok(None);
        };
        let user = User::decode(&key, &value).map_err(|_| view.malformed())?;
        Ok(Some(user))
    }

    /// All users, in the order in which they were made.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn users(&self) -> Result<Vec<User>, CatalogError> {
        let view = self.view()?;
        let mut users = Vec::new();
        for entry in view.scan(&Kind::User.key(&[]))? {
            let (key, value) = entry?;
            users.push(User::decode(&key, &value).map_err(|_| view.malformed())?);
        }
        users.sort_by_key(|user| user.created);
        Ok(users)
    }

    /// Grants `user` this on `database`, and nothing else there. The caller knows that there is such a database.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and what an operation gives.
    pub fn grant(&self, user: &str, database: &str, granted: Granted) -> Result<(), CatalogError> {
        self.change_grant(user, database, |_| granted)
    }

    /// Takes `taken` from what `user` is granted on `database`.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and what an operation gives.
    pub fn revoke(&self, user: &str, database: &str, taken: Granted) -> Result<(), CatalogError> {
        self.change_grant(user, database, |old| old.without(taken))
    }

    /// What `user` is granted on `database`, being an admin aside.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn granted(&self, user: &str, database: &str) -> Result<Granted, CatalogError> {
        let view = self.view()?;
        let Some(value) = view.get(&Kind::Grant.key(&[user, database]))? else {
            return Ok(Granted::Nothing);
        };
        let (_, granted) = decode_grant(&value).map_err(|_| view.malformed())?;
        Ok(granted)
    }

    /// What `user` was ever granted, by database, in the order of the first grants.
    ///
    /// # Errors
    /// [`CatalogError::UserNotFound`], and when the view cannot be read.
    pub fn grants(&self, user: &str) -> Result<Vec<(String, Granted)>, CatalogError> {
        self.existing_user(user)?;
        let view = self.view()?;
        let mut grants = Vec::new();
        for entry in view.scan(&Kind::Grant.key(&[user]))? {
            let (key, value) = entry?;
            let decoded = || {
                let [_, database] = entry::names(&key)?[..] else {
                    return Err(Malformed);
                };
                let (created, granted) = decode_grant(&value)?;
                Ok((created, (database.to_owned(), granted)))
            };
            grants.push(decoded().map_err(|_| view.malformed())?);
        }
        grants.sort_by_key(|(created, _)| *created);
        Ok(grants.into_iter().map(|(_, grant)| grant).collect())
    }

    fn existing_user(&self, name: &str) -> Result<User, CatalogError> {
        self.user(name)?.ok_or(CatalogError::UserNotFound)
    }

    fn change_user(&self, name: &str, change: impl FnOnce(&mut User)) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let old = self.existing_user(name)?;
        let mut user = old.clone();
        change(&mut user);
        let mut op = Op::default();
        if user != old {
            op.put(user.key(), user.encode());
        }
        self.commit(&mut writer, &op)
    }

    fn change_grant(
        &self,
        user: &str,
        database: &str,
        change: impl FnOnce(Granted) -> Granted,
    ) -> Result<(), CatalogError> {
        self.check_name("a database name", database)?;
        let mut writer = self.writer();
        self.existing_user(user)?;
        let view = self.view()?;
        let key = Kind::Grant.key(&[user, database]);
        let old = match view.get(&key)? {
            Some(value) => Some(decode_grant(&value).map_err(|_| view.malformed())?),
            None => None,
        };
        let created = old.map_or_else(|| self.next(&writer), |(created, _)| created);
        let new = (
            created,
            change(old.map_or(Granted::Nothing, |(_, granted)| granted)),
        );
        let mut op = Op::default();
        if old != Some(new) {
            let mut value = new.0.to_le_bytes().to_vec();
            value.push(new.1 as u8);
            op.put(key, value);
        }
        self.commit(&mut writer, &op)
    }
}

fn decode_grant(value: &[u8]) -> Result<(Sequence, Granted), Malformed> {
    let mut reader = Reader::new(value);
    let created = reader.u64()?;
    let bits = reader.u8()?;
    reader.end()?;
    if bits > 3 {
        return Err(Malformed);
    }
    Ok((created, Granted::from_bits(bits)))
}
