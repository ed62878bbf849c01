//! App passwords: one for each device, good for sending, reading or both, taken back one by one.

use crate::secret::{AppPassword, Scope, Secret, app_password, verifiers};
use crate::{Directory, Unavailable};
use mail::Address;
use sys::hands;

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
        let mut random = [0; 20];
        self.inner.random.fill(&mut random);
        let password = app_password(&random);
        loop {
            let added = self.try_to_add(address, name, scope, &password).await?;
            match added {
                Ok(true) => return Ok(password),
                // Somebody gave the account its salt meanwhile, which is done once.
                Ok(false) => {}
                Err(why) => return Err(AppError::NotAllowed(why)),
            }
        }
    }

    /// Adds an app password; false when the account has another salt than it had.
    async fn try_to_add(
        &self,
        address: &Address,
        name: &str,
        scope: Scope,
        password: &str,
    ) -> Result<Result<bool, String>, AppError> {
        let mut salt = [0; 16];
        self.inner.random.fill(&mut salt);
        let secret = self.secret_of(address)?;
        let shared = secret.scram_salt().unwrap_or(&salt).to_vec();
        let (made, with) = (password.to_owned(), shared.clone());
        let verifiers = hands::blocking(&*self.inner.hands, move || verifiers(&made, &with));
        let verifiers = verifiers.await.map_err(AppError::Unavailable)?;
        let (name, made) = (name.to_owned(), password.to_owned());
        let add = move |stored: &mut String| {
            let mut secret = Secret::parse(stored);
            if secret.scram_salt().is_some_and(|known| known != shared) {
                return Ok(false);
            }
            secret.add_app(&name, scope, &made, (&salt, verifiers))?;
            *stored = secret.to_string();
            Ok(true)
        };
        Ok(self.store.account_change_secret(address.clone(), add).await?)
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
