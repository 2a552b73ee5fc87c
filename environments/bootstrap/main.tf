# What an account needs before anything can be deployed to it: applied once, by a person.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = merge(var.tags, { System = "webhook-queue" })
  }
}

module "bootstrap" {
  source = "../../modules/bootstrap"

  name              = var.name
  region            = var.region
  environments      = var.environments
  oidc_provider_arn = var.oidc_provider_arn
}
