"""The errors of Halflife are one tree. Each is defined where it is raised, below the family that says what failed.

    HalflifeError                    `str()` is for people: it names the thing, its value and what is expected
    ├── SpecError                    a job spec, an option or a setting says what is not allowed
    │   ├── PlugInBroken             a plug-in that a spec names cannot be used
    │   └── SpecErrors               several such errors of one document
    ├── UnusableData                 a text, bytes, a schema or a column that cannot be what they are taken for
    │   ├── BlockTooLarge            of a segment that is to be built again
    │   ├── BrokenLedger             of runs with --only_new
    │   ├── BrokenSource             a file of an audit that cannot be sealed
    │   ├── DamagedDatum             a datum that does not end where it should
    │   ├── MalformedEnvelope
    │   ├── MalformedExpression
    │   ├── MalformedSchema
    │   ├── MalformedTime
    │   ├── NotRecorded              features of a receipt that are not those of its version
    │   ├── OutOfBounds              of what a policy says that an event can contribute
    │   ├── RecordsExpired           of a sealed segment
    │   ├── RepeatedRow              of a key and time in a table
    │   ├── UnfitComparison          of labels with a value of another kind
    │   ├── UnusableIndex            of a sealed segment
    │   ├── UnusableNote             a text that is no signed note, or no key of one
    │   ├── UnusableProof            a file that is no exported decision
    │   ├── UnusableSegment          what is said of a sealed segment, or what is in it
    │   ├── UnsupportedColumn        of no type that a profile can describe
    │   └── UnsupportedSchema        that no table of BigQuery can have
    ├── SchemaUnknown                a registry has no schema for a record
    ├── BundleRefused                a bundle may not serve; its `reason` is a fixed word
    │   ├── BadOutput
    │   ├── BadSignature
    │   ├── BadTable                 the rows of a version of a table
    │   ├── GoldenMismatch
    │   ├── InvalidManifest
    │   │   └── PathOutside
    │   ├── InvalidProfile
    │   ├── NotTheBundle             what the store has is not the bundle that was published
    │   │   ├── BundleIncomplete
    │   │   │   └── BundleWithdrawn
    │   │   ├── BundleTooLarge
    │   │   └── WrongDigest
    │   ├── UnknownScorer
    │   ├── WillNotLoad
    │   │   ├── NotReady
    │   │   └── OtherLibrary
    │   └── WrongInputs
    ├── StoreError                   the store could not do what was asked
    │   ├── CannotAccept
    │   ├── CannotPublish
    │   ├── DiskFailed
    │   ├── ErasureUnfinished        of a subject that should be held
    │   ├── InvalidRelease
    │   ├── InvalidStoreUrl
    │   ├── KeysContended            others wrote first each time
    │   ├── NoKeyStore               a key store without any keys
    │   ├── NotHeld                  a hold that should be released is none
    │   ├── NothingToWithdraw
    │   ├── ObjectTooLarge
    │   ├── OtherKeyStore            it did not hash these records
    │   ├── ReleasedMeanwhile        by another writer than the one who decided
    │   ├── StillReleased
    │   ├── StoreUnavailable
    │   ├── SubjectHeld              one that should be erased
    │   ├── UnknownVersion
    │   ├── UnusableEpoch            of hashes of subjects
    │   ├── UnusableKey
    │   ├── UnusableKeyBlock         of keys of subjects
    │   ├── UnusableRegister         of holds and erasures
    │   └── VersionExists
    ├── NotScored                    a model that serves gave no scores, or not all
    │   ├── CallFailed               of a model that a server answers for
    │   │   ├── AnswerMalformed
    │   │   ├── CircuitOpen
    │   │   ├── RecordsRefused
    │   │   ├── RequestRefused
    │   │   ├── ServerFailed
    │   │   └── ServerUnavailable
    │   ├── LoadFailed
    │   ├── ModelFailed
    │   ├── PartlyScored
    │   ├── StoreSilent
    │   └── WrongAnswer
    ├── NotExplained                 why a score is what it is cannot be said
    ├── OutOfTime                    work that was not done in its time
    ├── StateFormatMismatch          state that another version of the job wrote
    ├── NoInput                      a source cannot be read, or has nothing
    │   ├── NoRecords
    │   ├── NoTimes
    │   ├── NothingMatches
    │   ├── SubscriptionUnreadable
    │   ├── TableRefused             of a lookup: a row of it is wrong
    │   └── TopicUnreadable
    │       └── RegistryUnreachable
    ├── BrokenChain                  the checkpoints of an audit do not follow from each other
    ├── NoAudit                      where an audit is said to be, there is none
    ├── QueryRefused                 a query of it does something else than ask
    ├── SealedMeanwhile              another process sealed the same files first
    ├── TooEarlyToExpire             receipts that audit.keep_at_least keeps
    ├── UnknownSubject               one that should be erased and never had a key
    ├── UnknownToAudit               it has nothing of the name that was asked for
    ├── SinkUnwritable               a sink cannot be written
    │   ├── RecordsGone              what an earlier run wrote is gone
    │   ├── SinksInUse               one that was to be new is not
    │   ├── TableUnwritable
    │   └── TopicUnwritable
    ├── SummaryUnwritable            so is the file of a run's summary
    ├── RunFailed                    a run did its work, and what came of it is a failure
    │   ├── CandidateRefused         a version that may not serve is not replayed either
    │   ├── CommittedMeanwhile       of two runs with --only_new one counts
    │   ├── CountsDoNotAdd
    │   └── NotAsRecorded            receipts whose scores do not come out again, or that cannot be scored
    ├── Refused                      a verb did what it was asked, and the answer is no
    └── ContractBroken               a scorer does not do what the contract says

`SpecError`, `UnusableData` and `ContractBroken` are Python's own ValueError and AssertionError too. `runners` imports
nothing of ours, so its errors are RuntimeErrors of its own; the end that a person or the system asks for is not an
error but a KeyboardInterrupt. Errors with a leading underscore never leave their module.
"""


class HalflifeError(Exception):
    """The root; `str()` is one line for people, unless a member says otherwise."""


class UnusableData(HalflifeError, ValueError):
    """A text, bytes, a schema or a column that cannot be what they are taken for."""
