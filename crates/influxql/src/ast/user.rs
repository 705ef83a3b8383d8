//! Users and what they are granted.

use std::fmt;

/// What `GRANT … ON` gives and `REVOKE … ON` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantedPrivilege {
    /// `READ`
    Read,
    /// `WRITE`
    Write,
    /// `ALL [PRIVILEGES]`
    All,
}

/// `CREATE USER name WITH PASSWORD '…' [WITH ALL PRIVILEGES]`
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateUser {
    /// The user.
    pub name: String,
    /// In clear.
    pub password: String,
    /// `WITH ALL PRIVILEGES`
    pub admin: bool,
}

impl fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUser")
            .field("name", &self.name)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// `SET PASSWORD FOR name = '…'`
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct SetPassword {
    /// The user.
    pub name: String,
    /// In clear.
    pub password: String,
}

impl fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPassword")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `GRANT privilege ON database TO user`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is given.
    pub privilege: GrantedPrivilege,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
}

/// `REVOKE privilege ON database FROM user`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// What is taken.
    pub privilege: GrantedPrivilege,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
}
