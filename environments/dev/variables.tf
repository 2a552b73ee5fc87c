# The first seven are in terraform.tfvars.json, the others in a file that `cargo xtask` writes. Their
# shape is that of modules/webhook-system, which checks it.

variable "environment" {
  description = "Name of the environment; that of its directory."
  type        = string
}

variable "routes" {
  description = "What is accepted and where it goes, by the route's name."
  type        = any
}

variable "queue" {
  description = "The queue and its dead-letter queue."
  type        = any
  default     = {}
}

variable "forwarder" {
  description = "How the function delivers."
  type        = any
  default     = {}
}

variable "logs" {
  description = "What the function's log holds."
  type        = any
  default     = {}
}

variable "notify" {
  description = "Who is told of what needs a person, on one machine; on AWS `aws.notifications` says so."
  type        = any
  default     = null
  sensitive   = true

  # The emulator's file is that of the engine on the same machine.
  validation {
    condition     = var.notify == null || var.environment == "local"
    error_message = "notify is for one machine; on AWS alarms tell who is named in aws.notifications."
  }
}

variable "keep_delivered" {
  description = "How much of what was delivered is kept, on one machine."
  type        = any
  default     = null

  # The emulator's file is that of the engine on the same machine.
  validation {
    condition     = var.keep_delivered == null || var.environment == "local"
    error_message = "keep_delivered is for one machine; SQS keeps nothing of what was delivered."
  }
}

variable "production" {
  description = "Whether people depend on it: for whoever looks or acts."
  type        = bool
  default     = false
}

variable "aws" {
  description = "Where this is deployed to, and how."
  type        = any
}

variable "artifact" {
  description = "The zip file with the forwarder: `code_sha256`, and where it is."
  type        = any
}

variable "stub_artifact" {
  description = "The zip file with the stand-in for the service, where `aws.sss_stub` is set."
  type        = any
  default     = null
}
