//! Names for services that were given none, in the manner of Docker.

use crate::host::rng::Rng;

const ADJECTIVES: &str = "\
     admiring agitated amazing awesome blissful bold brave busy charming clever compassionate \
     confident cool cranky crazy dazzling determined dreamy eager ecstatic elastic elated \
     elegant eloquent epic exciting fervent festive flamboyant focused friendly frosty funny \
     gallant gifted goofy gracious great happy hopeful hungry infallible inspiring jolly \
     jovial keen kind laughing loving lucid magical modest musing nice nifty nostalgic \
     optimistic peaceful pensive practical quirky relaxed serene zealous";

const SURNAMES: &str = "\
     agnesi albattani allen archimedes ardinghelli aryabhata austin babbage banach bardeen \
     bartik bell bhabha blackwell bohr booth borg bose boyd brown carson chandrasekhar clarke \
     colden cori cray curie darwin davinci dijkstra einstein elion engelbart euclid euler \
     fermat fermi feynman franklin galileo gates goldberg goldstine goodall hamilton hawking \
     heisenberg hodgkin hopper hypatia jang joliot kalam kare keller kepler khorana kilby \
     kirch knuth kowalevski lalande lamarr leakey lovelace mayer mcclintock meitner mendel \
     noether ritchie turing";

/// How often a name is drawn before one is told from the others by a number.
const DRAWS_MAX: u32 = 8;

/// A name that is not taken.
pub fn draw(rng: &mut Rng, is_taken: impl Fn(&str) -> bool) -> String {
    for _ in 0..DRAWS_MAX {
        let name = format!("{}_{}", pick(rng, ADJECTIVES), pick(rng, SURNAMES));
        if !is_taken(&name) {
            return name;
        }
    }
    let name = format!("{}_{}", pick(rng, ADJECTIVES), pick(rng, SURNAMES));
    let mut number = 2_u64;
    loop {
        let numbered = format!("{name}{number}");
        if !is_taken(&numbered) {
            return numbered;
        }
        number += 1;
    }
}

fn pick(rng: &mut Rng, words: &'static str) -> &'static str {
    let count = words.split(' ').count();
    let at = usize::try_from(rng.below(count as u64)).unwrap_or_default();
    words.split(' ').nth(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::service::ServiceSpec;
    use crate::model::validate;

    #[test]
    fn every_name_is_one_that_a_service_may_have() {
        let words = ADJECTIVES.split(' ').chain(SURNAMES.split(' '));
        assert!(
            words
                .clone()
                .all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
        );
        let longest = words.map(str::len).max().unwrap_or_default();
        let name = format!("{0}_{0}", "x".repeat(longest));
        let mut spec = ServiceSpec {
            name,
            ..ServiceSpec::default()
        };
        spec.task.container.image = "a".into();
        assert_eq!(validate::service(&spec), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_is_taken_is_not_given_again() {
        let mut rng = Rng::from_seed(7);
        let first = draw(&mut rng, |_| false);
        assert_eq!(first.split('_').count(), 2);
        let second = draw(&mut Rng::from_seed(7), |name| name == first);
        assert_ne!(first, second);
        let numbered = draw(&mut rng, |name| !name.ends_with('2'));
        assert!(numbered.ends_with('2'), "{numbered}");
    }
}
