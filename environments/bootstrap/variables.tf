variable "account_id" {
  description = "The only account that is touched, 12 digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is \"${var.account_id}\"; it must be 12 digits."
  }
}

variable "region" {
  description = "Region that the environments are deployed to."
  type        = string
  nullable    = false
}

variable "name" {
  description = "What the buckets', roles' and policies' names begin with; unique in the world."
  type        = string
  nullable    = false
}

variable "environments" {
  description = "The environments, by name, and which of GitHub's tokens may act on each."
  type = map(object({
    plan_subjects        = set(string)
    deploy_subjects      = set(string)
    publishes_artifacts  = optional(bool)
    promotes_from        = optional(string)
    authorizer_functions = optional(set(string))
  }))
  nullable = false
}

variable "oidc_provider_arn" {
  description = "ARN of the account's identity provider for GitHub Actions, where there is one already."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything that is made, besides `System`."
  type        = map(string)
  default     = {}
  nullable    = false
}
