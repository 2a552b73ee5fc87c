module "bootstrap" {
  source = "../../../bootstrap"

  name   = "acme-webhook"
  region = "ap-northeast-1"

  environments = {
    dev = {
      plan_subjects       = ["repo:acme/webhook:pull_request", "repo:acme/webhook:environment:dev-plan"]
      deploy_subjects     = ["repo:acme/webhook:environment:dev"]
      publishes_artifacts = true
    }
    prod = {
      plan_subjects   = ["repo:acme/webhook:environment:prod-plan"]
      deploy_subjects = ["repo:acme/webhook:environment:prod"]
      promotes_from   = "dev"
    }
  }
}
