# The same in every environment: what differs stands in terraform.tfvars.json.
module "webhook" {
  source = "../../modules/webhook-system"

  environment   = var.environment
  routes        = var.routes
  queue         = var.queue
  forwarder     = var.forwarder
  logs          = var.logs
  aws           = var.aws
  artifact      = var.artifact
  stub_artifact = var.stub_artifact
}
