//! The retention policies of a database, and which of them is its default one.
//!
//! As in InfluxDB, a database keeps the *name* of its default policy: when that policy is dropped,
//! requests that name none are told that it is not found, and one that is made under its name again is
//! the default again. A policy is the default one exactly when the database has its name.

use std::ops::Deref;

use crate::database::PolicyChoice;
use crate::error::StoreError;
use crate::policy::RetentionPolicy;

/// See the module's head. In the order of creation, as InfluxDB shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyList {
    list: Vec<RetentionPolicy>,
    default_name: String,
}

impl PolicyList {
    /// The policies that a request is about.
    pub(crate) fn find(
        &self,
        choice: PolicyChoice<'_>,
    ) -> Result<Vec<&RetentionPolicy>, StoreError> {
        let name = match choice {
            PolicyChoice::All => return Ok(self.list.iter().collect()),
            PolicyChoice::Default => &self.default_name,
            PolicyChoice::Named(name) => name,
        };
        match self.list.iter().find(|policy| policy.name == name) {
            Some(policy) => Ok(vec![policy]),
            None => Err(StoreError::PolicyNotFound(name.into())),
        }
    }

    /// The name of the default policy, which may not be there.
    pub(crate) fn default_name(&self) -> &str {
        &self.default_name
    }

    /// Makes the policy of this name the default one, now or when there is one.
    pub(crate) fn set_default(&mut self, name: &str) {
        name.clone_into(&mut self.default_name);
        for policy in &mut self.list {
            policy.is_default = policy.name == name;
        }
    }

    /// Adds or replaces a policy. One that says that it is the default is the only one.
    pub(crate) fn put(&mut self, mut policy: RetentionPolicy) {
        if policy.is_default {
            self.set_default(&policy.name);
        }
        policy.is_default = policy.name == self.default_name;
        match self.list.iter_mut().find(|p| p.name == policy.name) {
            Some(place) => *place = policy,
            None => self.list.push(policy),
        }
    }

    /// Takes out a policy. The name of the default one stays.
    pub(crate) fn remove(&mut self, name: &str) {
        self.list.retain(|policy| policy.name != name);
    }

    /// Takes out all other policies, and makes this one the default. False if it is not there.
    pub(crate) fn keep_only(&mut self, name: &str) -> bool {
        self.list.retain(|policy| policy.name == name);
        self.set_default(name);
        !self.list.is_empty()
    }
}

impl Deref for PolicyList {
    type Target = [RetentionPolicy];

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySpec;

    fn policy(name: &str, is_default: bool) -> RetentionPolicy {
        let spec = PolicySpec {
            name: Some(name.into()),
            ..PolicySpec::default()
        };
        RetentionPolicy {
            is_default,
            ..spec.resolve().unwrap()
        }
    }

    fn defaults(list: &PolicyList) -> Vec<&str> {
        let defaults = list.iter().filter(|policy| policy.is_default);
        defaults.map(|policy| policy.name.as_str()).collect()
    }

    #[test]
    fn a_dropped_default_leaves_its_name_and_takes_it_up_again() {
        let mut list = PolicyList::default();
        list.put(policy("autogen", true));
        list.put(policy("b", false));
        list.remove("autogen");
        assert_eq!((list.default_name(), list.len()), ("autogen", 1));
        let told = list.find(PolicyChoice::Default).unwrap_err().to_string();
        assert_eq!(told, "retention policy not found: autogen");
        list.put(policy("autogen", false));
        assert_eq!(defaults(&list), ["autogen"]);
        // It stays so whatever a change of it says.
        list.put(policy("autogen", false));
        assert_eq!(defaults(&list), ["autogen"]);
        list.put(policy("b", true));
        assert_eq!((defaults(&list), list.default_name()), (vec!["b"], "b"));
        assert!(list.keep_only("autogen") && !list.clone().keep_only("c"));
        assert_eq!(defaults(&list), ["autogen"]);
    }
}
