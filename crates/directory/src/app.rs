//! App passwords: one for each device, good for sending, reading or both, taken back one by one.

use crate::secret::{AppPassword, Scope, Secret, app_password};
use crate::{Directory, Unavailable};
use mail::Address;

/// Why an app password is not made or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppError {
    /// There is no such account.
    NoSuchAccount,
    /// The reason, in words.
    NotAllowed(String),
    /// The directory cannot say now.
    Unavailable(String),
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AppError::NoSuchAccount => f.write_str("there is no such account"),
            AppError::NotAllowed(why) | AppError::Unavailable(why) => f.write_str(why),
        }
    }
}

impl From<store::StoreError> for AppError {
    fn from(error: store::StoreError) -> AppError {
        AppError::Unavailable(Unavailable::from(error).to_string())
    }
}

impl Directory {
    fn secret_of(&self, address: &Address) -> Result<Secret, AppError> {
        let account = self.store.lookup(address)?.account.ok_or(AppError::NoSuchAccount)?;
        Ok(Secret::parse(&account.secret))
    }

    /// Makes an app password and returns it; it is shown this once.
    pub async fn app_password_add(
        &self,
        address: &Address,
        name: &str,
        scope: Scope,
    ) -> Result<String, AppError> {
        let (mut random, mut salt) = ([0; 20], [0; 16]);
        self.inner.random.fill(&mut random);
        self.inner.random.fill(&mut salt);
        let password = app_password(&random);
        self.secret_of(address)?;
        let (name, made) = (name.to_owned(), password.clone());
        let add = move |stored: &mut String| {
            let mut secret = Secret::parse(stored);
            secret.add_app(&name, scope, &made, &salt)?;
            *stored = secret.to_string();
            Ok(())
        };
        let added = self.store.account_change_secret(address.clone(), add).await?;
        added.map(|()| password).map_err(AppError::NotAllowed)
    }

    /// Takes an app password back; whether there was one.
    pub async fn app_password_remove(
        &self,
        address: &Address,
        name: &str,
    ) -> Result<bool, AppError> {
        self.secret_of(address)?;
        let name = name.to_owned();
        let remove = move |stored: &mut String| {
            let mut secret = Secret::parse(stored);
            let was_there = secret.remove_app(&name);
            if was_there {
                *stored = secret.to_string();
            }
            was_there
        };
        Ok(self.store.account_change_secret(address.clone(), remove).await?)
    }

    /// An account's app passwords, with their last use.
    pub fn app_passwords(&self, address: &Address) -> Result<Vec<AppPassword>, AppError> {
        let mut secret = self.secret_of(address)?;
        for app in &mut secret.apps {
            app.used = self.fresh_use(address, &app.name).or(app.used);
        }
        Ok(secret.apps)
    }
}
