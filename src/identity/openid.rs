//! The person of the configuration whose identity an OpenID Connect provider has proved.

use crate::domain::policy::sign_in::Proven;
use crate::identity::{Error, Identity, random_hex, unproved};
use crate::storage::{Proof, Said, SignIn};

impl Identity {
    /// Begins a session for the person whom a provider knows by this subject, or, if the
    /// configuration allows it, by a mail address that the provider has verified. Returns the
    /// person's name and the session's id.
    ///
    /// # Errors
    /// The subject is nobody in the configuration, or somebody without rights now; the database is
    /// unavailable, or the system provides no random numbers.
    pub async fn begin_session_by_openid(&self, proven: Proven) -> Result<(String, String), Error> {
        let sign_in = self.known_by_openid(&proven).ok_or_else(|| {
            let subject = &proven.subject;
            unproved(format!(
                "your subject at the provider is {subject}, and nobody in the configuration has it: ask an operator to add it under \
                 `openid_connect.people` in sign-in.yaml"
            ))
        })?;
        let person = self.person(&sign_in).await?;
        let id = random_hex::<32>()?;
        self.storage.begin_session(&id, &sign_in).await?;
        Ok((person.name, id))
    }

    fn known_by_openid(&self, Proven { issuer, subject, email, signed_in_at, groups }: &Proven) -> Option<SignIn> {
        let settings = self.configuration.sign_in.openid.as_ref().filter(|settings| settings.issuer == *issuer)?;
        // Other groups are not stored: a provider may name hundreds.
        let gives = |group: &&String| settings.groups.as_ref().is_some_and(|groups| groups.roles.contains_key(*group));
        let said = Said { signed_in_at: *signed_in_at, groups: groups.iter().filter(gives).cloned().collect() };
        if let Some(name) = settings.subjects.get(subject) {
            let proof = Proof::OpenId { issuer: issuer.clone(), subject: subject.clone(), said };
            return Some(SignIn { name: name.clone(), proof });
        }
        let address = email.as_deref()?;
        let has_it = |name: &str| self.has_address(name, address);
        let name = self.configuration.policy.people().keys().find(|name| has_it(name))?;
        let sign_in = SignIn { name: name.clone(), proof: Proof::OpenIdMail { issuer: issuer.clone(), address: address.to_owned(), said } };
        self.is_proved_by_openid(&sign_in).then_some(sign_in)
    }

    /// Whether the current configuration still assigns the provider's proof to this person.
    pub(super) fn is_proved_by_openid(&self, SignIn { name, proof }: &SignIn) -> bool {
        let Some(settings) = &self.configuration.sign_in.openid else { return false };
        match proof {
            Proof::OpenId { issuer, subject, .. } => *issuer == settings.issuer && settings.subjects.get(subject) == Some(name),
            // A person with a known subject is proved only by it, because mail addresses are
            // reassigned.
            Proof::OpenIdMail { issuer, address, .. } => {
                *issuer == settings.issuer && settings.match_email && !settings.has_subject(name) && self.has_address(name, address)
            }
            Proof::Token(_) | Proof::Mail(_) => false,
        }
    }

    fn has_address(&self, name: &str, address: &str) -> bool {
        let own = self.configuration.policy.people().get(name).and_then(|person| person.email.as_deref());
        own.is_some_and(|own| own.eq_ignore_ascii_case(address))
    }
}
