variable "name" {
  description = "What the buckets', roles' and policies' names begin with, such as `acme-webhook`: 3 to 40 lower-case letters, digits and `-`. Names of buckets are unique in the world."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{2,39}$", var.name))
    error_message = "name is \"${var.name}\"; it must be 3 to 40 lower-case letters, digits and \"-\", and begin with a letter or digit."
  }
}

variable "region" {
  description = "Region that the environments are deployed to, such as `ap-northeast-1`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is \"${var.region}\"; it must be one such as ap-northeast-1."
  }
}

variable "environments" {
  description = <<-EOT
    The environments, by name, and who may act on each.
    `plan_subjects`, `deploy_subjects`: subjects of GitHub's tokens, letter by letter, such as `repo:OWNER/REPO:environment:dev`; for repositories made after July 2026 `repo:OWNER@OWNER_ID/REPO@REPO_ID:environment:dev`.
    `publishes_artifacts`: whether the deploying role may put artifacts into the bucket; the others take what is there.
    `promotes_from`: the environment whose releases are brought here: its records may be read, and which code its function runs.
    `authorizer_functions`: names of functions that the routes ask (`aws.authorization.lambda`): the deploying role may let API Gateway call them. Without it the owner makes the authorizer and lets API Gateway call it, and the environment takes it by `aws.authorization.authorizer_id`.
  EOT
  type = map(object({
    plan_subjects        = set(string)
    deploy_subjects      = set(string)
    publishes_artifacts  = optional(bool, false)
    promotes_from        = optional(string)
    authorizer_functions = optional(set(string), [])
  }))
  nullable = false

  validation {
    condition     = length(var.environments) > 0
    error_message = "environments is empty."
  }
  validation {
    condition     = alltrue([for name in keys(var.environments) : can(regex("^[a-z][a-z0-9-]{0,19}$", name))])
    error_message = "an environment's name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter; are ${join(", ", keys(var.environments))}."
  }
  validation {
    condition     = alltrue([for name in keys(var.environments) : length("${var.name}-${name}-deploy") <= 64])
    error_message = "a role's name has at most 64 characters; too long are ${join(", ", [for name in keys(var.environments) : "${var.name}-${name}-deploy" if length("${var.name}-${name}-deploy") > 64])}."
  }
  validation {
    condition = alltrue([
      for name, environment in var.environments :
      environment.promotes_from == null ? true : environment.promotes_from != name && contains(keys(var.environments), environment.promotes_from)
    ])
    error_message = "promotes_from is another of the environments ${join(", ", keys(var.environments))}."
  }
  validation {
    condition = alltrue([
      for function in flatten([for environment in values(var.environments) : tolist(environment.authorizer_functions)]) :
      can(regex("^[A-Za-z0-9_-]{1,64}$", function))
    ])
    error_message = "authorizer_functions are names of functions: 1 to 64 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition = alltrue([
      for environment in values(var.environments) : length(environment.plan_subjects) > 0 && length(environment.deploy_subjects) > 0
    ])
    error_message = "every environment needs a subject that may plan and one that may deploy."
  }
  validation {
    condition = alltrue([
      for subject in flatten([for environment in values(var.environments) : [tolist(environment.plan_subjects), tolist(environment.deploy_subjects)]]) :
      can(regex("^repo:[A-Za-z0-9_.@-]+/[A-Za-z0-9_.@-]+:[^*?]+$", subject))
    ])
    error_message = "a subject is repo:OWNER/REPO:… without * and ?, which would let others in."
  }
  validation {
    condition = alltrue([
      for name, environment in var.environments : alltrue([
        for subject in environment.deploy_subjects : endswith(subject, ":environment:${name}")
      ])
    ])
    error_message = "a subject that may deploy ends in :environment:NAME, so that GitHub's protection of the environment comes before the token."
  }
}

variable "oidc_provider_arn" {
  description = "ARN of the account's identity provider for GitHub Actions, of which there can be only one; made unless given."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be the ARN of the provider for token.actions.githubusercontent.com."
  }
}

variable "former_versions_days" {
  description = "How long former versions of state files are kept, in days, 30 or more. Artifacts and releases are kept for ever."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.former_versions_days >= 30 && floor(var.former_versions_days) == var.former_versions_days
    error_message = "former_versions_days is ${var.former_versions_days}; it must be a whole number of at least 30: they are the way back from a broken state."
  }
}
